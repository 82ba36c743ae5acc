"""What the check scripts share: the tree, the module table, and how findings are told."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def modules():
    """The table of lib/CMakeLists.txt: name -> list of needs, in order."""
    text = (ROOT / "lib/CMakeLists.txt").read_text()
    table = {}
    for match in re.finditer(r"^sp_module\((\w+)([^)]*)\)", text, re.M):
        table[match[1]] = match[2].split()
    return table


def programs():
    """The table of gateway/CMakeLists.txt: program -> modules it names."""
    text = (ROOT / "gateway/CMakeLists.txt").read_text()
    return {m[1]: m[2].split() for m in re.finditer(r"^sp_program\(([\w-]+)([^)]*)\)", text, re.M)}


def closure(names, table):
    """names and everything below them."""
    found, todo = set(), list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(table.get(name, []))
    return found


def sources(*folders, suffixes=(".c", ".h")):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in suffixes:
                yield path


def strip_comments(text):
    """Blanks comments and string contents, keeping line numbers."""
    def blank(match):
        token = match[0]
        if token.startswith("/"):
            return re.sub(r"[^\n]", " ", token)
        return token[0] + " " * (len(token) - 2) + token[-1]
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


class Findings:
    def __init__(self, name):
        self.name, self.lines = name, []

    def add(self, path, line, text):
        self.lines.append(f"{path.relative_to(ROOT)}:{line}: {text}")

    def end(self, good):
        for line in self.lines:
            print(line)
        print(f"{self.name}: " + (f"{len(self.lines)} findings" if self.lines else good))
        sys.exit(1 if self.lines else 0)
