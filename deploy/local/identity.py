"""As whom PostgreSQL runs: it refuses root, and so must we where the stack is started as root.

An ordinary user runs everything as itself. Root hands PostgreSQL, and nothing else, to an account without
rights: the owner of the cluster where there is one already (a folder that an ordinary user made stays
usable with sudo), else `nobody`, which every system has. Making an account of our own would change the
machine, and needs tools that small images lack.

The account must be able to walk to the cluster and to the programs. Below a closed folder (a 0700 home) it
cannot. We open nobody's folders. On Linux the process is given the one capability that walks through
instead; PostgreSQL's own role for the product is no superuser, so that it cannot be used to read other
files.
"""

import os
import pwd
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import StackError

UNPRIVILEGED_ACCOUNT = "nobody"
LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account that PostgreSQL runs as instead of root."""

    name: str
    uid: int
    gid: int
    closed_folder: Path | None = None
    """The first folder that the account cannot pass without help; None where it needs none."""


def account_for(cluster: Path, *, programs: Path) -> Account | None:
    """The account PostgreSQL has to run as, or None where it is simply the user who started the stack.

    `cluster` may not be there yet, its parent is. Raises `StackError` where no account can be used.
    """
    if os.geteuid() != 0:
        return None
    entry = _owner(cluster) or _unprivileged()
    account = Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)
    closed = _first_closed(account, (cluster, programs / "postgres"))
    if closed is None:
        return account
    if sys.platform != "linux":
        raise StackError(
            f"PostgreSQL does not run as root, and the account {account.name!r} cannot pass {closed}: "
            f"run this as an ordinary user, or move the project and DATA_DIR out of {closed}"
        )
    return Account(name=account.name, uid=account.uid, gid=account.gid, closed_folder=closed)


def launch(argv: Iterable[str], *, death_signal: int, account: Account | None = None) -> tuple[str, ...]:
    """`argv`, started so that it dies with this process, as `account` where there is one."""
    identity: list[str] = []
    if account is not None:
        identity = ["--uid", str(account.uid), "--gid", str(account.gid)]
        if account.closed_folder is not None:
            identity.append("--pass-folders")
    start = [sys.executable, "-I", "-S", str(LAUNCHER), "--parent", str(os.getpid())]
    return (*start, "--death-signal", str(death_signal), *identity, "--", *argv)


def _owner(cluster: Path) -> pwd.struct_passwd | None:
    try:
        uid = cluster.stat().st_uid
        return pwd.getpwuid(uid) if uid != 0 else None
    except (FileNotFoundError, KeyError):
        return None


def _unprivileged() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(UNPRIVILEGED_ACCOUNT)
    except KeyError:
        raise StackError(
            f"PostgreSQL does not run as root, and there is no account {UNPRIVILEGED_ACCOUNT!r} to give it "
            "to: run this as an ordinary user"
        ) from None


def _first_closed(account: Account, targets: Iterable[Path]) -> Path | None:
    """The first folder on the way to a target that `account` may not pass, by its mode bits."""
    for target in targets:
        for folder in reversed(target.resolve().parents):
            about = folder.stat()
            if about.st_uid == account.uid:
                passes = about.st_mode & 0o100
            elif about.st_gid == account.gid:
                passes = about.st_mode & 0o010
            else:
                passes = about.st_mode & 0o001
            if not passes:
                return folder
    return None
