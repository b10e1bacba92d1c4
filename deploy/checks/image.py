"""The image, without a container engine: its Dockerfile linted, its promises read, and its steps really taken.

Invariant of the last: the steps are those of the Dockerfile, in a throw-away folder that stands for the root of the
first stage; what comes out is run as the last stage says, and writes nothing of it: by a user who can't, where this
machine's Python is one that another user can reach, else by one who is seen not to.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Final

from deploy.checks.check import TIMEOUT_S, Check, complaints_of, tool
from deploy.checks.dockerfile import Instruction, Stage, stages_of

DOCKERFILE: Final = "deploy/Dockerfile"
USER: Final = 10001
ROLES: Final = (
    ("gateway", "--help"),
    ("collectors", "--help"),
    ("collectors.migrate", "--help"),
    ("streams", "--help"),
    ("loadtest", "--help"),
    ("shared.tracing_otlp",),  # what TRACING=otlp imports
)
WANTED_ENVIRONMENT: Final = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
_OPT: Final = re.compile(r"(?<!\S)/opt/")
WANTED_LABELS: Final = ("version", "revision", "source", "licenses", "title")


def _lint(root: Path) -> Iterable[str]:
    hadolint = tool("hadolint", "it comes with requirements/deploy.txt, which `make check-deploy` installs")
    return complaints_of(hadolint, "--no-color", "--failure-threshold", "style", root / DOCKERFILE)


def _promises(root: Path) -> Iterator[str]:
    try:
        *before, last = stages_of(root / DOCKERFILE)
        entry, command, probe = last.last("ENTRYPOINT").argv(), last.last("CMD").argv(), last.last("HEALTHCHECK").argv()
        user = last.last("USER").rest
        last.last("STOPSIGNAL")
    except (OSError, ValueError) as error:
        yield str(error)
        return
    if not before:
        yield "one stage only: what builds the image would be in it"
    if user != f"{USER}:{USER}":
        yield f"USER {user}: takes {USER}:{USER}, numbers that a cluster can tell from root's"
    if (entry, command) != (["python", "-m"], ["gateway"]):
        yield f"ENTRYPOINT {entry} and CMD {command}: every role is started as `python -m ROLE`"
    if probe[:3] != ["python", "-m", "shared.probe"]:
        yield f"HEALTHCHECK {probe}: takes `python -m shared.probe URL`; there is no curl in the image"
    if ran := [one.rest for one in last.all("RUN")]:
        yield f"RUN {ran[0]}: the last stage only takes over what the first has made"
    if any(not one.rest.startswith("--from=") for one in last.all("COPY")) or list(last.all("ADD")):
        yield "the last stage takes files from elsewhere than the first one"
    environment = last.environment()
    for name, value in WANTED_ENVIRONMENT.items():
        if environment.get(name) != value:
            yield f"ENV {name}={environment.get(name)}: takes {value}"
    labels = {name for one in last.all("LABEL") for name in _labels(one)}
    for name in WANTED_LABELS:
        if name not in labels:
            yield f"LABEL org.opencontainers.image.{name} is missing"
    installs = [step for stage in before for one in stage.all("RUN") for step in one.rest.split("&&") if " -r " in step]
    if not installs or not all("--require-hashes" in step for step in installs):
        yield "a lock file is installed without --require-hashes"


def _labels(label: Instruction) -> Iterator[str]:
    prefix = "org.opencontainers.image."
    return (word[len(prefix) :].partition("=")[0] for word in label.rest.split() if word.startswith(prefix))


def _steps(root: Path) -> Iterable[str]:
    try:
        *before, last = stages_of(root / DOCKERFILE)
        entry, probe = last.last("ENTRYPOINT").argv(), last.last("HEALTHCHECK").argv()
        (first,) = before
    except (OSError, ValueError) as error:
        return [str(error)]
    with tempfile.TemporaryDirectory(prefix="floodgate-image-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        return list(_missing(root, first)) or _built(root, first, folder) or list(_run(last, folder, entry, probe))


def _built(root: Path, stage: Stage, folder: Path) -> list[str]:
    """Take the steps of a stage, with `folder` for its root. Returns what went wrong."""
    workdir = folder
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(sys.executable)  # the base's, which goes by this name
    environment = {**os.environ, **stage.environment(), "SOURCE_DATE_EPOCH": "315532800"}
    environment["PATH"] = f"{folder / 'bin'}:{os.environ['PATH']}"
    for one in stage.instructions:
        if one.word == "WORKDIR":
            workdir = folder / one.rest.lstrip("/")
            workdir.mkdir(parents=True)
        elif one.word == "COPY":
            *sources, target = one.rest.split()
            for source in sources:
                _copy(root / source, workdir / target, into=target.endswith("/"))
        elif one.word == "RUN":
            # The only absolute paths of these steps are below /opt.
            shell = ["/bin/sh", "-ec", _OPT.sub(f"{folder}/opt/", one.rest)]
            ended = subprocess.run(
                shell,
                cwd=workdir,
                env=environment,
                stdout=PIPE,
                stderr=STDOUT,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
            if ended.returncode != 0:
                return [f"RUN {one.rest[:60]}…", *ended.stdout.splitlines()[-8:]]
    return []


def _missing(root: Path, stage: Stage) -> Iterator[str]:
    """What the stage copies and can't have."""
    allowed = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for source in (source for one in stage.all("COPY") for source in one.rest.split()[:-1]):
        if f"!{source}" not in allowed:
            yield f".dockerignore keeps {source} out"
        if not (root / source).exists():
            yield f"COPY: there is no {source}"


def _copy(path: Path, target: Path, *, into: bool) -> None:
    """As COPY does."""
    if path.is_dir():
        shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target = target / path.name if into else target
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def _run(stage: Stage, folder: Path, entry: list[str], probe: list[str]) -> Iterator[str]:
    """Run each role and the health check as the last stage says. Yields what goes wrong."""
    made = folder / "opt/floodgate"
    with tempfile.TemporaryDirectory(prefix="floodgate-tmp-") as name:
        temporary = Path(name)
        other_user = os.getuid() == 0 and _is_for_all(Path(sys.executable).resolve())
        if other_user:
            os.chown(temporary, USER, USER)
        _make_read_only(made)
        environment = {**stage.environment(), "HOME": name, "TMPDIR": name, "PATH": f"{made}/bin:/usr/bin:/bin"}
        before = _state(made)
        for role in ROLES:
            status, said = _ended([*entry, *role], environment, other_user=other_user)
            if status != 0:
                yield f"{' '.join([*entry, *role])}: status {status}: {said}"
        status, said = _ended(probe, environment, other_user=other_user)
        if (status, said[:9]) != (1, "no answer"):
            yield f"{' '.join(probe)} with nobody there: status {status}: {said}"
        if _state(made) != before:
            yield "the programs wrote to the image's files, which are read-only there"
        if left := sorted(path.name for path in temporary.iterdir()):
            yield f"TMPDIR holds {', '.join(left)} afterwards"
        _make_writable(made)  # so that it can be removed


def _ended(command: list[str], environment: Mapping[str, str], *, other_user: bool) -> tuple[int, str]:
    user = USER if other_user else None
    ended = subprocess.run(
        command, cwd="/", env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        user=user, group=user, extra_groups=[] if other_user else None,
    )  # fmt: skip
    return ended.returncode, " ".join(ended.stderr.splitlines()[-3:])


def _is_for_all(path: Path) -> bool:
    """Whether every user may run it, and look into each folder on the way."""
    return all(one.stat().st_mode & 0o001 for one in [path, *path.parents])


def _make_read_only(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o555)


def _make_writable(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)


def _state(folder: Path) -> dict[Path, float]:
    return {path: path.lstat().st_mtime for path in folder.rglob("*")}


CHECKS: Final = (
    Check("dockerfile", "the Dockerfile, by hadolint", _lint),
    Check("image-promises", "what the image promises: user, entry point, labels, hashes", _promises),
    Check("image-steps", "the steps of the Dockerfile taken, and each role run", _steps),
)
