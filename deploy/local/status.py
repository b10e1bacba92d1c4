"""What runs where: written by a running stack at every change, read by `python -m deploy.local status`.

The file also says what a supervisor that was killed may have left behind; a process id alone does not (it
may be somebody else's by now), so each goes with the time its process was created.
"""

import contextlib
import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psutil

from deploy.local.errors import StackError

SUPERVISOR = "supervisor"
CREATION_TOLERANCE_S = 1.0
"""The clock that processes are dated by may be corrected between two readings."""
LEAVE_WAIT_S = 10.0
KILLED_WAIT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class RunningProcess:
    """A process of the stack, told apart from a later one with the same id."""

    name: str
    pid: int
    created_s: float
    stop_signal: int

    @classmethod
    def of(cls, *, name: str, pid: int, stop_signal: int) -> "RunningProcess | None":
        """The process with that id, or None where it is gone already."""
        try:
            return cls(name=name, pid=pid, created_s=psutil.Process(pid).create_time(), stop_signal=stop_signal)
        except psutil.Error:
            return None

    def find(self) -> psutil.Process | None:
        """The process, where it still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created_s) < CREATION_TOLERANCE_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where the parts of a stack are reached."""

    gateway_url: str
    internal_url: str
    """Where the gateway is looked at: metrics, receipts, console. The same, where it has one port for all."""
    nats_url: str
    nats_monitor_url: str | None
    dsn: str
    dsn_is_ours: bool
    """Made by this stack: its password is there to be used, and is shown."""
    ops_urls: Mapping[str, str]
    """By source, in the registry's order."""
    data_dir: Path


def collector(source: str) -> str:
    """The name of that source's collector among the children."""
    return f"collector {source}"


def write(path: Path, *, status: dict[str, Any], processes: Sequence[RunningProcess]) -> None:
    """Replace the state file as a whole: a reader sees the old or the new one. It holds a password."""
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps({"status": status, "processes": [asdict(process) for process in processes]}))
    fresh.replace(path)


def read(path: Path) -> dict[str, Any]:
    """The status object of the stack that runs on this data folder. Raises `StackError` where none does."""
    state = _load(path)
    supervisor = next((process for process in _processes(state) if process.name == SUPERVISOR), None)
    if supervisor is None or supervisor.find() is None:
        raise StackError(f"no stack runs on {path.parent}: start one with `make run`, or set DATA_DIR to its folder")
    status: dict[str, Any] = state["status"]
    return status


def as_object(addresses: Addresses, *, pids: Mapping[str, int], ready: bool) -> dict[str, Any]:
    """The object of `status --json`. A process id is null between two lives, or where the server is not ours."""
    at = addresses
    internal = {"internal_url": at.internal_url} if at.internal_url != at.gateway_url else {}
    return {
        "ready": ready,
        "gateway": {"pid": pids.get("gateway"), "url": at.gateway_url, **internal},
        "nats": {"pid": pids.get("nats"), "url": at.nats_url, "monitor_url": at.nats_monitor_url},
        "postgres": {"pid": pids.get("postgres"), "dsn": at.dsn},
        "collectors": [
            {"source": source, "pid": pids.get(collector(source)), "ops_url": url}
            for source, url in at.ops_urls.items()
        ],
    }


def summary(addresses: Addresses) -> str:
    """What a user wants to know once everything is ready. Passwords of servers that are not ours stay out."""
    at = addresses
    rows = [
        ("console", f"{at.internal_url}/"),
        ("post events to", f"{at.gateway_url}/webhook/events/bulk"),
        ("their receipt", f"{at.internal_url}/webhook/events/bulk/{{correlationId}}"),
        ("metrics", f"{at.internal_url}/metrics"),
        *((collector(source), f"{url}/metrics") for source, url in at.ops_urls.items()),
        ("NATS", _without_password(at.nats_url)),
        *([("NATS monitor", at.nats_monitor_url)] if at.nats_monitor_url else []),
        ("PostgreSQL", at.dsn if at.dsn_is_ours else _without_password(at.dsn)),
        ("data", str(at.data_dir)),
    ]
    lines = [f"  {name:<20}{value}" for name, value in rows]
    return "\n".join(["", "Floodgate is ready.", "", *lines, "", "Ctrl-C stops it; nothing is lost.", ""])


def as_text(status: dict[str, Any]) -> str:
    """The status object for a person, a line each."""
    rows = [
        ("gateway", status["gateway"]["pid"], status["gateway"]["url"]),
        *((f"collector {one['source']}", one["pid"], one["ops_url"]) for one in status["collectors"]),
        ("nats", status["nats"]["pid"], status["nats"]["url"]),
        ("postgres", status["postgres"]["pid"], status["postgres"]["dsn"]),
    ]
    lines = [f"{name:<20} pid {pid if pid is not None else '-':<8} {url}" for name, pid, url in rows]
    return "\n".join(["ready" if status["ready"] else "not ready", *lines])


def stop_leftovers(path: Path, *, also: Sequence[RunningProcess] = ()) -> list[str]:
    """Stop what a killed supervisor left running. Returns the names. Blocks up to `LEAVE_WAIT_S` + `KILLED_WAIT_S`.

    Only the holder of the data folder's lock may call this: then the processes named in the file have no
    supervisor.
    """
    left: dict[psutil.Process, RunningProcess] = {}
    for one in (*_processes(_load(path)), *also):
        process = one.find()
        if one.name != SUPERVISOR and process is not None:
            left[process] = one
    for process, one in left.items():
        _send(process, one.stop_signal)
    _, alive = psutil.wait_procs(left, timeout=LEAVE_WAIT_S)
    for process in alive:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=KILLED_WAIT_S)
    path.unlink(missing_ok=True)
    return sorted({one.name for one in left.values()})


def _load(path: Path) -> dict[str, Any]:
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    except OSError as error:
        raise StackError(f"{path} cannot be read ({error.strerror}): ask as the user who started the stack") from None
    return state if isinstance(state, dict) else {}


def _processes(state: dict[str, Any]) -> list[RunningProcess]:
    return [RunningProcess(**process) for process in state.get("processes", [])]


def _send(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.Error):
        process.send_signal(number)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")))
