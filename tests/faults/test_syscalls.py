"""The order of system calls is read right, from traces as strace writes them."""

import pytest

from tests.faults.syscalls import order

SOCKET = "9<TCP:[127.0.0.1:4222->127.0.0.1:5]>"
RECEIVED = f'7 read({SOCKET}, "PUB event-1", 4096) = 11'
WRITTEN = '7 pwrite64(10</store/1.blk>, "event-1", 7, 0) = 7'
SYNCED = "7 fsync(10</store/1.blk>) = 0"
REPLIED = f'7 write({SOCKET}, "+ACK", 4) = 4'


def _is_synced(*lines: str) -> bool:
    found = order(lines, data="event-1", folder="/store/", reply="+ACK")
    return found.written is not None and found.synced is not None


def test_write_sync_reply_is_in_order() -> None:
    assert _is_synced(RECEIVED, WRITTEN, SYNCED, REPLIED)


def test_a_message_may_come_in_over_several_reads() -> None:
    parts = [f'7 read({SOCKET}, "PUB eve", 7) = 7', f'7 read({SOCKET}, "nt-1", 4096) = 4']
    assert _is_synced(*parts, WRITTEN, SYNCED, REPLIED)
    elsewhere = f'7 read({SOCKET.replace("9<", "8<").replace(":5]", ":6]")}, "nt-1", 4096) = 4'
    with pytest.raises(LookupError):
        _is_synced(parts[0], elsewhere, WRITTEN, SYNCED, REPLIED)


@pytest.mark.parametrize(
    "lines",
    [
        (RECEIVED, WRITTEN, REPLIED, SYNCED),
        (RECEIVED, SYNCED, WRITTEN, REPLIED),
        (RECEIVED, REPLIED, WRITTEN, SYNCED),
        (RECEIVED, WRITTEN, "7 fsync(10</store/1.blk>) = -1 EIO (Input/output error)", REPLIED),
        (RECEIVED, WRITTEN, "7 fsync(11</store/2.blk>) = 0", REPLIED),
        (RECEIVED, WRITTEN, SYNCED, WRITTEN, REPLIED),
    ],
)
def test_any_other_order_is_none(lines: tuple[str, ...]) -> None:
    assert not _is_synced(*lines)


def test_a_sync_counts_from_its_return() -> None:
    begun, returned = "7 fsync(10</store/1.blk> <unfinished ...>", "7 <... fsync resumed>) = 0"
    assert _is_synced(RECEIVED, WRITTEN, begun, returned, REPLIED)
    assert not _is_synced(RECEIVED, WRITTEN, begun, REPLIED, returned)


def test_a_trace_without_the_event_or_the_reply_proves_nothing() -> None:
    with pytest.raises(LookupError):
        _is_synced(WRITTEN, SYNCED, REPLIED)
    with pytest.raises(LookupError):
        _is_synced(RECEIVED, WRITTEN, SYNCED)
