"""A compressed body comes in piece by piece: each booked before it is held, and each in a turn of its own."""

import asyncio
import gzip
import hmac
from collections.abc import AsyncIterator, Callable
from itertools import pairwise

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from gateway.access import Caller
from gateway.admission import Admission, Ticket
from gateway.body import read_body
from gateway.decompress import MEMBERS_A_PIECE, Decompressor
from gateway.problems import Refused
from gateway.senders import ANYONE
from gateway.signatures import Seal
from gateway.turns import Turns
from shared.metrics import GatewayMetrics

MIB = 1024 * 1024
SECRET = b"a secret of the tests"
BOMB = gzip.compress(b"\0" * (6 * MIB))
EMPTIES = gzip.compress(b"") * (20 * MEMBERS_A_PIECE)


def request(body: bytes) -> web.Request:
    """One whose gzip body is there, all of it."""
    payload = StreamReader(BaseProtocol(asyncio.get_running_loop()), 2**16, loop=asyncio.get_running_loop())
    payload.feed_data(body)
    payload.feed_eof()
    headers = {"Content-Encoding": "gzip", "Content-Length": str(len(body))}
    return make_mocked_request("POST", "/webhook/events/bulk", headers, payload=payload)


def caller(body: bytes, *, is_sealed: bool) -> Caller:
    """Anyone; one who signs, where it is sealed."""
    return Caller(ANYONE, Seal([SECRET], b"", [hmac.digest(SECRET, body, "sha256")]) if is_sealed else None)


class Watched:
    """Reads bodies, and notes at each piece in which turn of the event loop it is and what is booked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cap_bytes: int) -> None:
        self.turn = 0
        self.pieces: list[tuple[int, int]] = []
        self.longest_piece = 0
        self.admission = Admission(
            max_requests=9, max_bytes=cap_bytes, closed_because=lambda: None, metrics=GatewayMetrics()
        )
        self._turns = Turns()
        piece = Decompressor.piece

        def noted(decompressor: Decompressor, piece_bytes: int) -> bytearray:
            self.pieces.append((self.turn, self.admission.bytes))
            decoded = piece(decompressor, piece_bytes)
            self.longest_piece = max(self.longest_piece, len(decoded))
            return decoded

        monkeypatch.setattr(Decompressor, "piece", noted)

    async def read(self, body: bytes, ticket: Ticket, *, is_sealed: bool = False, max_bytes: int = 8 * MIB) -> bytes:
        """The body, decompressed."""
        who, turns = caller(body, is_sealed=is_sealed), self._turns
        return bytes(await read_body(request(body), ticket, who, max_bytes=max_bytes, timeout_s=60, turns=turns))

    async def count_turns(self) -> None:
        """Until it is cancelled."""
        while True:
            self.turn += 1
            await asyncio.sleep(0)


Watch = Callable[..., Watched]


@pytest.fixture
async def watch(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watch]:
    """Makes one that counts turns already."""
    counting: list[asyncio.Task[None]] = []

    def make(*, cap_bytes: int = 64 * MIB) -> Watched:
        watched = Watched(monkeypatch, cap_bytes)
        counting.append(asyncio.create_task(watched.count_turns()))
        return watched

    yield make
    for task in counting:
        task.cancel()


@pytest.mark.parametrize("is_sealed", [False, True], ids=["open", "signed"])
@pytest.mark.parametrize(("body", "size"), [(BOMB, 6 * MIB), (EMPTIES, 0)], ids=["bomb", "empty members"])
async def test_between_two_pieces_of_a_body_the_event_loop_turns(
    watch: Watch, body: bytes, size: int, *, is_sealed: bool
) -> None:
    watched = watch()
    with watched.admission.admit() as ticket:
        assert len(await watched.read(body, ticket, is_sealed=is_sealed)) == size
    turns = [turn for turn, _ in watched.pieces[1:]]  # the first is a small one
    assert len(turns) >= 6
    assert turns == sorted(set(turns))
    assert watched.longest_piece <= MIB


@pytest.mark.parametrize("is_sealed", [False, True], ids=["open", "signed"])
async def test_each_piece_is_booked_before_the_next_is_made(watch: Watch, *, is_sealed: bool) -> None:
    watched = watch()
    with watched.admission.admit() as ticket:
        await watched.read(BOMB, ticket, is_sealed=is_sealed)
        booked = [booked_bytes for _, booked_bytes in watched.pieces[1:]]
        assert booked == sorted(set(booked))
        assert all(later - sooner <= MIB for sooner, later in pairwise(booked))
        assert watched.admission.bytes == 6 * MIB + (len(BOMB) if is_sealed else 0)


@pytest.mark.parametrize("is_sealed", [False, True], ids=["open", "signed"])
@pytest.mark.parametrize(("max_bytes", "cap_bytes", "status"), [(3 * MIB, 64 * MIB, 413), (8 * MIB, 3 * MIB, 503)])
async def test_a_bomb_ends_at_the_piece_that_is_too_much(
    watch: Watch, max_bytes: int, cap_bytes: int, status: int, *, is_sealed: bool
) -> None:
    watched = watch(cap_bytes=cap_bytes)
    with pytest.raises(Refused) as refused, watched.admission.admit() as ticket:
        await watched.read(BOMB, ticket, is_sealed=is_sealed, max_bytes=max_bytes)
    assert refused.value.status == status
    assert len(watched.pieces) == 4
    assert max(booked_bytes for _, booked_bytes in watched.pieces) <= 3 * MIB


async def test_bodies_that_come_at_once_have_one_piece_in_a_turn_between_them(watch: Watch) -> None:
    watched = watch()

    async def read() -> None:
        with watched.admission.admit() as ticket:
            await watched.read(BOMB, ticket)

    await asyncio.gather(*(read() for _ in range(4)))
    turns = [turn for turn, _ in watched.pieces[4:]]
    assert len(turns) >= 4 * 6
    assert len(set(turns)) == len(turns)
