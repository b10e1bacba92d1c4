"""Which ports are free on this machine, and who has the one that is not."""

import contextlib
import errno
import socket
from collections.abc import Container

import psutil

from deploy.local.errors import StackError

LOOPBACK = "127.0.0.1"
HIGHEST_PORT = 65535
PORTS_TRIED = 200
"""How far a port may move before that says more about the machine than about the port."""


def is_free(port: int, *, host: str = LOOPBACK) -> bool:
    """Whether a server could listen there now. Raises `StackError` where this user or machine never could."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        # Connections of the last run that linger do not count as taken: the servers set this as well.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(1)
        except socket.gaierror:
            raise StackError(f"HOST is {host!r}: it takes an address of this machine, 127.0.0.1 by default") from None
        except PermissionError:
            raise StackError(f"no permission to listen on port {port}: choose one from 1024 up, PORT=3000") from None
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise StackError(f"HOST is {host!r}, which is no address of this machine: try 127.0.0.1") from None
            return False
    return True


def next_free(usual: int, *, without: Container[int] = ()) -> int:
    """`usual`, or the next port above it that is free and not in `without`."""
    for port in range(usual, usual + PORTS_TRIED):
        if port not in without and is_free(port):
            return port
    raise StackError(f"no free port from {usual} to {usual + PORTS_TRIED - 1}: stop what listens there")


def holder(port: int) -> str:
    """Who listens on `port`, as words for a message. Other users' processes may stay unnamed."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            local = connection.laddr
            if connection.status == psutil.CONN_LISTEN and local and local.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return "another program"
