"""The order of system calls, as strace saw it: was what was acknowledged on the disk by then?

Invariant: a call's data counts from the call's begin, a sync from its return: the order is judged against the server,
never for it. Pure.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

TRACE_OPTIONS: Final = (
    "--follow-forks",
    "--decode-fds=all",
    "--quiet=attach,exit,personality,thread-execve",
    "--string-limit=200000",
    "--signal=none",
    "--trace=fsync,fdatasync,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,read,readv,recvfrom,recvmsg",
)
_SYNCS: Final = frozenset({"fsync", "fdatasync"})
_WRITES: Final = frozenset({"write", "pwrite64", "writev", "pwritev", "pwritev2"})
_SENDS: Final = frozenset({"write", "writev", "sendto", "sendmsg"})
_READS: Final = frozenset({"read", "readv", "recvfrom", "recvmsg"})
_TCP: Final = "TCP"
_BEGIN: Final = re.compile(r"^(\d+)\s+(\w+)\((?:\d+<(.*?)>(?=[,) ]))?(.*)$", re.DOTALL)
_RESUMED: Final = re.compile(r"^(\d+)\s+<\.\.\. (\w+) resumed>(.*)$", re.DOTALL)
_UNFINISHED: Final = "<unfinished ...>"


class Moment(NamedTuple):
    """A call's begin or its return. `file`: what its descriptor is; `text`: the arguments and the result."""

    at: int
    call: str
    file: str
    text: str
    returns: bool
    begins: bool


class Order(NamedTuple):
    """Line numbers of a trace; None for what did not happen before the reply."""

    received: int
    written: int | None
    synced: int | None
    reply: int


def moments(lines: Iterable[str]) -> Iterator[Moment]:
    """The trace's lines, calls that others interrupted put together again."""
    interrupted: dict[str, tuple[str, str]] = {}
    for at, line in enumerate(lines):
        if (begin := _BEGIN.match(line)) is not None:
            pid, call, file, text = begin.groups()
            unfinished = text.rstrip().endswith(_UNFINISHED)
            if unfinished:
                interrupted[pid] = (call, file or "")
            yield Moment(at, call, file or "", text, returns=not unfinished, begins=True)
        elif (resumed := _RESUMED.match(line)) is not None:
            pid, call, text = resumed.groups()
            _, file = interrupted.pop(pid, (call, ""))
            yield Moment(at, call, file, text, returns=True, begins=False)


def order(lines: Iterable[str], *, data: str, folder: str, reply: str) -> Order:
    """From where `data` came in over a socket to where `reply` was sent on it, and what happened between.

    `written`: the data's write to a file below `folder`. `synced`: a sync of the file that was written last returned
    with success. Raises LookupError where the data never came in, or the reply was never sent.
    """
    found = list(moments(lines))
    received = _arrival(found, data)
    if received is None:
        raise LookupError(f"{data!r} never came in")
    sent = (m for m in found if m.at > received.at and m.begins and m.file == received.file and m.call in _SENDS)
    answered = next((m for m in sent if reply in m.text), None)
    if answered is None:
        raise LookupError(f"{reply!r} was never sent")
    between = [m for m in found if received.at < m.at < answered.at and folder in m.file]
    written = next((m.at for m in between if m.begins and data in m.text), None)
    last = next((m for m in reversed(between) if m.begins and m.call in _WRITES), None)
    synced = [
        m.at
        for m in between
        if last is not None
        and m.at > last.at
        and m.returns
        and m.call in _SYNCS
        and m.file == last.file
        and m.text.rstrip().endswith("= 0")
    ]
    return Order(received.at, written, synced[0] if synced else None, answered.at)


def _arrival(found: Iterable[Moment], data: str) -> Moment | None:
    """The read with which all of `data` was there; a message may come in over several."""
    tails: dict[str, str] = {}
    for moment in found:
        if moment.returns and _TCP in moment.file and moment.call in _READS:
            content = moment.text.partition('"')[2].rpartition('"')[0]
            text = tails.get(moment.file, "") + content
            if data in text:
                return moment
            tails[moment.file] = text[-len(data) :]
    return None
