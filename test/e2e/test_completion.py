"""What bash completes: the table in gateway/cli/completion/sallyport.bash is what every --help says, and what comes of it."""
import os
import pty
import re
import select
import subprocess
import time

from lab import doc_table
from test_command_line import COMMANDS, PROGRAM, ROOT, helped, home, run  # noqa: F401 (a fixture)

SCRIPT = "gateway/cli/completion/sallyport.bash"
MARK = "\t# {}\n"
KINDS = {"FILE": "FILE", "DRAFT": "FILE", "sallyport.json": "FILE", "PATIENTS.csv": "FILE", "DETECTION.json": "FILE",
         "FILE.csv": "FILE", "FILE.test.json": "FILE", "PATH": "FILE", "DIR": "DIR", "TENANT": "TENANT"}
OPTION = r"(?<![\w-])(--?[a-z0-9][a-z0-9-]*)(?: ((?!--)'[^']*'|[A-Za-z0-9][\w.:%,|=-]*))?"


def kind(value, words=(), option=None):
    """What can be completed of it: a kind or a choice; "-" if nothing."""
    if option == "--tenant" or (value == "NAME" and words in (("tenant", "show"), ("tenant", "check"))):
        return "TENANT"
    choice = [one for one in value.split("|") if re.fullmatch(r"[a-z0-9-]+", one)]
    return KINDS.get(value) or ("|".join(choice) if len(choice) > 1 else "-")


def filters(text):
    """The options that FILTERS stands for."""
    named = text.split("\n  FILTERS ")[1].split("all that list shows")[0]
    return re.findall(OPTION, named)


def taken(words, synopsis, text):
    """Options with their values, and words, of one line of a usage. text: the whole help"""
    rest = synopsis.replace("]...", "...]").replace("|--", " --")
    options = re.findall(OPTION, rest)
    if "FILTERS" in rest:
        options += filters(text)
    left = re.sub(r"[\[\]]", " ", re.sub(OPTION, " ", rest)).split()
    options += re.findall(r"^  (?:-c, )?(--config|--socket|--json|-c)(?: ([A-Z]+))?  ", text, re.M)
    found = {}
    for name, value in options:
        name = {"-c": "--config", "-o": "--output"}.get(name, name)
        found[name] = f"{name}={kind(value, words, name)}" if value else name
    found["--help"] = "--help"
    return found, [kind(word.removesuffix("..."), words) + ("..." if word.endswith("...") else "")
                   for word in left if word not in ("|", "...")]


def table():
    """The command's words to what it takes."""
    rows = {("serve",): taken(("serve",), "[-c FILE]", helped("serve"))}
    for command in COMMANDS:
        words = tuple(command.words)
        if words not in rows:
            rows[words] = ({}, [])
        options, arguments = taken(words, command.rest, helped(*words))
        rows[words] = ({**rows[words][0], **options}, max(rows[words][1], arguments, key=len))
    return rows


ROWS = table()


def test_the_table_is_what_the_help_says():
    groups = {}
    for words in ROWS:
        groups.setdefault(words[0], []).extend(words[1:])
    lines = {"": "|".join([*sorted(groups), "--help", "--version"])}
    for first, verbs in sorted(groups.items()):
        options, arguments = ROWS.get((first,), ({"--help": "--help"}, []))
        if verbs:  # they stand where a first word would
            arguments = ["|".join(sorted(verbs)), *arguments[1:]] if arguments[:1] != ["FILE..."] else arguments
        lines[first] = " ".join([*arguments, *sorted(options.values())])
    for words, (options, arguments) in sorted(ROWS.items()):
        if len(words) > 1:
            lines[" ".join(words)] = " ".join([*arguments, *sorted(options.values())])
    made = "".join(f"\t'{words}') takes='{takes}' ;;\n" for words, takes in lines.items())
    doc_table.check(SCRIPT, "completion", made, MARK)


ASK = r"""
source "$1"
compopt() { return 1; }  # nothing is being completed for bash here
while IFS=$'\x1f' read -ra COMP_WORDS; do  # with one word too many, or an empty last one would be none
    COMP_CWORD=$((${#COMP_WORDS[@]} - 2))
    unset "COMP_WORDS[-1]"
    _sallyport_complete
    printf '%s\t' "${COMPREPLY[@]}"
    printf '\n'
done
"""


def complete(*lines, folder=None):
    """What is offered for the last word of each line, whose words are a list as bash parts them."""
    done = subprocess.run(["/bin/bash", "--norc", "-c", ASK, "ask", ROOT / SCRIPT], text=True, timeout=120, cwd=folder,
                          capture_output=True, input="".join("\x1f".join([str(PROGRAM), *line, "."]) + "\n" for line in lines))
    assert done.returncode == 0 and done.stderr == "", done
    answers = [line.rstrip("\t").split("\t") if line.strip() else [] for line in done.stdout.splitlines()]
    assert len(answers) == len(lines), done
    return answers


def test_every_command_and_option_is_offered():
    firsts = sorted({words[0] for words in ROWS})
    asked = [[""], *([first, ""] for first in firsts), *([*words, "--"] for words in ROWS)]
    first, *rest = complete(*asked)
    assert set(first) == {*firsts, "--help", "--version"}
    for name, offered in zip(firsts, rest):
        verbs = {words[1] for words in ROWS if words[0] == name and len(words) > 1}
        if verbs and (name,) not in ROWS:
            assert set(offered) == verbs, name
    for words, offered in zip(ROWS, rest[len(firsts):]):
        assert set(offered) == set(ROWS[words][0]), words


def test_what_is_offered_is_taken(tmp_path):
    """The options that a whole group's help tells of are each command's own, too."""
    for words, (options, _) in ROWS.items():
        for option in {"--config", "--socket", "--json"} & set(options):
            done = run(*words, *([option, "none"] if "=" in options[option] else [option]), "--no-such", folder=tmp_path)
            assert option not in done.stderr.splitlines()[0] and "--no-such" in done.stderr, (words, option, done)


def test_values_are_offered(home):  # noqa: F811
    config = str(home / "sallyport.json")
    (home / "a folder").mkdir()
    states = ["pending", "deferred", "held", "in-delivery", "frozen", "quarantined"]
    for line, offered in (
            (("queue", "list", "--state", ""), states), (("queue", "list", "--state", "=", ""), states),
            (("queue", "list", "--json", "--state", "de"), ["deferred"]), (("queue", "list", "--state", "=", "fr"), ["frozen"]),
            (("queue", "list", "--state=fr",), ["--state=frozen"]),  # where "=" parts no words
            (("queue", "count", "--by", "s"), ["site", "state"]), (("queue", "show", ""), []),
            (("queue", "list", "--rule", ""), []),
            (("preference", "set", "a@b.example", "p"), ["plain", "portal"]), (("preference", "set", "p"), []),
            (("preference", "set", "--by", "phone", "a@b.example", "--offline", "t"), ["tls"]),
            (("policy", "publish", "x.json", "--stage", ""), ["shadow", "full"]),
            (("tenant", "show", "--config", config, ""), ["clinic"]), (("tenant", "show", "--config", "=", config, "x"), []),
            (("queue", "freeze", f"--config={config}", "--tenant", "cl"), ["clinic"]),
            (("tenant", "show", "--config", "none", ""), []), (("tenant", "add", "--config", config, ""), []),
            (("queue", "backup", "a"), ["a folder"]), (("policy", "diff", "a.json", "sally"), ["sallyport.json"]),
            (("policy", "check", "a.json", "b.json", "sally"), ["sallyport.json"]),
            (("policy", "diff", "a", "b", "sally"), []),
            (("check", "-c", "sally"), ["sallyport.json"]), (("queue", "list", "--config", "=", "sally"), ["sallyport.json"]),
            (("queue", "--json", "li"), ["list"]), (("no-such", ""), []), (("queue", "no-such", "x", ""), [])):
        assert complete(line, folder=home)[0] == offered, line


def test_a_shell_completes(home):  # noqa: F811
    """As it is: what is typed into bash on a terminal, with a tab behind it."""
    (home / "own settings.json").write_text("{}")
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(home)
        os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"],
                  {"PATH": f"{PROGRAM.parent}:/usr/bin:/bin", "TERM": "dumb", "PS1": "READY> ", "INPUTRC": "/dev/null",
                   "HOME": str(home), "HISTFILE": "/dev/null"})
    try:
        seen = b""

        def until(wanted):
            nonlocal seen
            end = time.monotonic() + 60
            while wanted.encode() not in seen:
                assert select.select([fd], [], [], max(0, end - time.monotonic()))[0], (wanted, seen)
                seen += os.read(fd, 4096)
            seen = seen.split(wanted.encode(), 1)[1]

        until("READY> ")
        os.write(fd, f"source {ROOT / SCRIPT}\n".encode())
        until("READY> ")
        for typed, completed in (("sallyport sta", "sallyport status "), ("sallyport queue fre", "sallyport queue freeze "),
                                 ("sallyport queue list --recip", "sallyport queue list --recipient "),
                                 ("sallyport queue list --state=quar", "sallyport queue list --state=quarantined "),
                                 ("sallyport check -c own", "sallyport check -c own\\ settings.json "),
                                 ("sallyport check --config=own", "sallyport check --config=own\\ settings.json "),
                                 ("sallyport tenant show -c sallyport.json cl",
                                  "sallyport tenant show -c sallyport.json clinic ")):
            os.write(fd, f"{typed}\t".encode())
            until(completed)
            os.write(fd, b"\x15\n")  # forget it
            until("READY> ")
    finally:
        os.close(fd)
        os.waitpid(pid, 0)


def test_what_is_installed_lies_where_shells_look(tmp_path):
    done = subprocess.run(["cmake", "--install", PROGRAM.parent.parent, "--prefix", tmp_path, "--component", "completions"],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done
    assert (tmp_path / "share/bash-completion/completions/sallyport").read_text() == (ROOT / SCRIPT).read_text()
    assert (tmp_path / "share/zsh/site-functions/_sallyport").read_text().startswith("#compdef sallyport\n")
