"""What a command makes durable, seen from outside."""
import os
import pathlib
import subprocess


def syncs(trace, *command):
    """Runs a command, which must do well, under strace. Returns the paths of what it has synced well."""
    done = subprocess.run(["strace", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", trace, *command], capture_output=True,
                          text=True, check=False, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    assert done.returncode == 0, done.stdout + done.stderr
    found = set()
    for line in pathlib.Path(trace).read_text(errors="replace").splitlines():
        if ("fsync(" in line or "fdatasync(" in line) and line.rstrip().endswith("= 0"):
            found.add(pathlib.Path(line.split("<", 1)[1].rsplit(">", 1)[0]))
    return found
