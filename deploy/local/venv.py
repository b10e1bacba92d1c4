"""Bring `.venv` to a lock file: `python deploy/local/venv.py requirements/local.txt`. Standard library only.

What is installed is what the lock names, hash by hash, and ready-made: nothing is ever compiled, so no compiler is
needed. Packages beyond the lock stay, so that setting up for a run never takes the development tools away. Two of
these at once wait for each other. Whatever is wrong is one line on stderr, and exit code 1.
"""

import fcntl
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

VENV = Path(".venv")
NO_WHEEL = re.compile(
    r"(?:No matching distribution found for|Could not find a version that satisfies.*requirement) (\S+)"
)
WRONG_HASH = "DO NOT MATCH THE HASHES"


def main() -> int:
    """Set the environment up. Blocks for as long as the downloads take."""
    lock = Path(sys.argv[1])
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        problem = _make_venv() or _install(lock)
    if problem:
        sys.stderr.write(f"floodgate: {problem}\n")
        return 1
    return 0


def explain(said: str) -> str:
    """What pip's complaint means for a user, as one line."""
    if missing := NO_WHEEL.search(said):
        machine = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
        return (
            f"there is no ready-made {missing[1]} for {machine}: use Python 3.11 to 3.14 on Linux or macOS, "
            "for example `make run PYTHON=python3.12` after `make clean`"
        )
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if WRONG_HASH in said:
        return "a download is not what the lock file says (its hash differs): nothing of it was installed; try again"
    errors = [line for line in lines if line.lower().startswith("error")] or lines or ["pip said nothing"]
    return f"the dependencies could not be installed, pip said: {errors[-1]}"


def _make_venv() -> str | None:
    python = VENV / "bin" / "python"
    if (
        python.exists()
        and subprocess.run([python, "-m", "pip", "-V"], capture_output=True, check=False).returncode == 0
    ):
        return None
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        return (
            f"{sys.executable} comes without venv: install it (Debian and Ubuntu: apt install python3-venv), "
            "or name another Python: make PYTHON=…"
        )
    _say(f"making {VENV} with Python {platform.python_version()}")
    try:
        shutil.rmtree(VENV, ignore_errors=True)
        made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{VENV.absolute()} cannot be made ({error.strerror}): is this folder yours?"
    if made.returncode != 0:
        said = (made.stderr.strip() or made.stdout.strip() or "nothing").splitlines()[-1]
        return f"{VENV.absolute()} cannot be made: {said}"
    return None


def _install(lock: Path) -> str | None:
    _say(f"installing {lock} into {VENV}")
    options = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check"]
    installed = subprocess.run(
        [VENV / "bin" / "python", "-m", "pip", "install", "--quiet", *options, "-r", lock],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return explain(installed.stderr) if installed.returncode != 0 else None


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
