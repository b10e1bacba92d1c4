"""The folder that holds everything a run leaves behind, and the rule that one stack at a time has it.

Layout, format 1: `VERSION`, `lock`, `state.json` (see `status`), `nats/`, `postgres/`.

The lock is the kernel's (flock): it ends with the process that holds it, however that ends.
"""

import fcntl
import os
from pathlib import Path
from typing import Self

from deploy.local.errors import StackError

FORMAT = 1
"""Rises when an older Floodgate could not read, or would harm, what this one writes."""
OUR_NAMES = {"VERSION", "lock"}


class DataDir:
    """An opened data folder, locked until `close`."""

    def __init__(self, *, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @property
    def nats(self) -> Path:
        """The NATS server's folder."""
        return self.path / "nats"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's cluster."""
        return self.path / "postgres"

    @property
    def state_file(self) -> Path:
        """What `status` reads."""
        return self.state_file_of(self.path)

    @staticmethod
    def state_file_of(path: Path) -> Path:
        """The same for a folder that somebody else has opened."""
        return path / "state.json"

    @classmethod
    def open(cls, path: Path) -> Self:
        """Make or take the folder and lock it. Does not block.

        Raises `StackError` where the folder cannot be written, is somebody else's, is in use, or is of a
        newer format.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            _check_ours(path)
            lock = _lock(path / "lock")
        except FileExistsError:
            raise StackError(f"DATA_DIR {path} is a file: set DATA_DIR to a folder") from None
        except OSError as error:
            raise StackError(
                f"DATA_DIR {path} cannot be written ({error.strerror}): "
                "set DATA_DIR to a folder of yours, or run as the user who made it"
            ) from None
        opened = cls(path=path, lock=lock)
        try:
            opened._check_format()
        except BaseException:
            opened.close()
            raise
        return opened

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._lock)

    def _check_format(self) -> None:
        version = self.path / "VERSION"
        try:
            text = version.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            version.write_text(f"{FORMAT}\n", encoding="ascii")
            return
        except (OSError, UnicodeDecodeError) as error:
            raise StackError(f"{version} cannot be read ({error}): set DATA_DIR to another folder") from None
        if not text.isdigit():
            raise StackError(f"{version} says {text!r}, which is no version: set DATA_DIR to another folder")
        if int(text) > FORMAT:
            raise StackError(
                f"DATA_DIR {self.path} was written by a newer Floodgate (format {text}, this one knows "
                f"{FORMAT}): get the newer Floodgate, or set DATA_DIR to another folder"
            )


def _check_ours(path: Path) -> None:
    """A folder with other things in it is more likely a slip of the keyboard than meant."""
    names = {entry.name for entry in path.iterdir()}
    if names - OUR_NAMES and "VERSION" not in names:
        raise StackError(
            f"DATA_DIR {path} holds other files and no data of Floodgate: set it to an empty or a new folder"
        )


def _lock(path: Path) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise StackError(
            f"DATA_DIR {path.parent} is in use by a stack that runs already (pid {holder}): "
            "stop that one, or set DATA_DIR to another folder"
        ) from None
    os.truncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock
