"""Building what a test needs of another preset; one at a time, since several workers may want the same."""
import fcntl
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def build(preset, *targets):
    """Brings these targets (all, if none is named) of a preset up to date. Returns its folder."""
    folder = ROOT / "build" / preset
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (["cmake", "--preset", preset],
                        ["cmake", "--build", "--preset", preset, *(["--target", *targets] if targets else [])]):
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RuntimeError(f"{' '.join(command)}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
    return folder
