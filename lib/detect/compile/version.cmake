# The version of the detector: of all that it is built of, so that two builds of other code or words never show the same.
# cmake -DDIR=... -DLIST=... -DVERSION=... -DOUT=... -P version.cmake; LIST: names in DIR, one a line, sorted. Nothing but names and
# bytes counts: not the time, not the place, not the compiler.
file(STRINGS "${LIST}" names)
set(all "")
foreach(name IN LISTS names)
    file(SHA256 "${DIR}/${name}" digest)
    string(APPEND all "${digest}  ${name}\n")
endforeach()
string(SHA256 digest "${all}")
string(SUBSTRING "${digest}" 0 8 digest)
file(WRITE "${OUT}" "/* Made by lib/detect/compile/version.cmake. */\n#include \"detect/dictionary.h\"\n\n"
    "const char sp_detect_build_version[] = \"${VERSION}-${digest}\";\n")
