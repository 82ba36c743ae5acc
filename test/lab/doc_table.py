"""Tables in docs/ that a test makes: what stands between the marks must be what the run made; with SALLYPORT_TABLES=write
in the environment it is written there instead."""
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]) + "\n"


def check(file, name, made, mark="<!-- {} -->\n"):
    """Compares with, or writes, the block <!-- name: begin --> ... <!-- name: end --> of a file below the source folder."""
    path = ROOT / file
    text = path.read_text()
    begin, end = (mark.format(f"{name}: {word}") for word in ("begin", "end"))
    assert begin in text and end in text, f"{file} has no block {name}"
    before, rest = text.split(begin, 1)
    committed, after = rest.split(end, 1)
    if os.environ.get("SALLYPORT_TABLES") == "write":
        path.write_text(before + begin + made + end + after)
        return
    old, new = committed.splitlines(), made.splitlines()
    changed = [f"- {line}" for line in old if line not in new] + [f"+ {line}" for line in new if line not in old]
    assert committed == made, f"{file}: the table {name} is not what this run made; run it with SALLYPORT_TABLES=write and " \
        "look at the difference:\n" + "\n".join(changed)
