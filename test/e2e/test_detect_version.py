"""The detector's version is a digest of all that it is built of: other code or words make another one, another place does not."""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SCANNER = ROOT / "build" / os.environ["SALLYPORT_PRESET"] / "libexec/sallyport/scanner"
DETECT = ROOT / "lib/detect"
PARTS = ("*.c", "*.h", "*.def", "compile/main.c", "data/*.txt", "data/*.def", "data/*.bin")


def parts(folder):
    return sorted(str(path.relative_to(folder)) for part in PARTS for path in folder.glob(part))


def version(folder, out):
    """By the program that the build runs."""
    names = out / "names"
    names.write_text("".join(name + "\n" for name in parts(folder)))
    subprocess.run(["cmake", f"-DDIR={folder}", f"-DLIST={names}", "-DVERSION=1.2.3", f"-DOUT={out / 'version.c'}",
                    "-P", DETECT / "compile/version.cmake"], check=True, timeout=120)
    return re.search(r'sp_detect_build_version\[\] = "1\.2\.3-([0-9a-f]{8})"', (out / "version.c").read_text()).group(1)


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(DETECT, tmp_path / "detect")
    return tmp_path / "detect"


def test_the_scanner_has_the_digest_of_its_sources():
    lines = "".join(f"{hashlib.sha256((DETECT / name).read_bytes()).hexdigest()}  {name}\n" for name in parts(DETECT))
    digest = hashlib.sha256(lines.encode()).hexdigest()[:8]
    assert re.search(rb"[0-9]+\.[0-9]+\.[0-9]+-" + digest.encode() + rb"\0", SCANNER.read_bytes())


def test_another_place_and_time_are_no_other_version(copy, tmp_path):
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
    assert version(copy, tmp_path) == version(DETECT, tmp_path)


@pytest.mark.parametrize("name", ["lists.def", "marks.def", "judge.c", "judge_priv.h", "compile/main.c", "data/health.txt",
                                  "data/weights.def", "data/phrases.bin"])
def test_other_bytes_are_another_version(copy, tmp_path, name):
    before = version(copy, tmp_path)
    with open(copy / name, "a") as part:
        part.write("\n")
    assert version(copy, tmp_path) != before


def test_a_file_that_comes_goes_or_is_renamed_is_another_version(copy, tmp_path):
    seen = [version(copy, tmp_path)]
    (copy / "more.c").write_text("")
    seen.append(version(copy, tmp_path))
    (copy / "more.c").rename(copy / "other.c")
    seen.append(version(copy, tmp_path))
    (copy / "date.c").unlink()
    seen.append(version(copy, tmp_path))
    assert len(set(seen)) == 4
