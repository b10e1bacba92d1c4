"""Real requests: bodies as senders post them, in every form and coding, some events of them spoiled.

Invariant: from the same seed come the same requests.
"""

import gzip
import random
import sys
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from loadtest.generator import Plan, batches
from tests.fuzz.case import BULK_PATH, SINGLE_PATH

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

EVENTS: Final = 2_000
_INVALID_SHARE: Final = 0.1
_START: Final = datetime(2026, 1, 25, 17, 31, 13, tzinfo=UTC)
_SIZES: Final = (0, 1, 1, 1, 2, 2, 3, 5, 8, 8, 60)
_LONG: Final = 120
"""Events: more than a request may have."""
_LONG_SHARE: Final = 0.005

Headers = list[tuple[bytes, bytes]]
Request = tuple[str, Headers, bytes]
"""Path, headers, body before its coding."""


def _raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


CODINGS: Final[dict[str, tuple[bytes, Callable[[bytes], bytes]]]] = {
    "gzip": (b"gzip", lambda body: gzip.compress(body, 1, mtime=0)),
    "deflate": (b"deflate", lambda body: zlib.compress(body, 1)),
    "raw_deflate": (b"deflate", _raw_deflate),
    "zstd": (b"zstd", lambda body: zstd.compress(body, 1)),
}


def events(seed: int) -> Sequence[bytes]:
    """Events of all platforms and shapes as JSON texts, one in ten of them spoiled in a named way."""
    plan = Plan(total=EVENTS, batch=EVENTS, invalid_share=_INVALID_SHARE, seed=seed, start=_START)
    return [text.encode() for batch in batches(plan) for text in batch.events]


def valid_event(seed: int) -> bytes:
    """One that must always be taken."""
    [batch] = batches(Plan(total=1, seed=seed, start=_START))
    return batch.events[0].encode()


def request(rng: random.Random, pool: Sequence[bytes]) -> Request:
    """A request that a sender could send, in one of the forms there are."""
    size = _LONG if rng.random() < _LONG_SHARE else rng.choice(_SIZES)
    chosen = rng.choices(pool, k=size)
    form = rng.choice(("array", "object", "ndjson", "single"))
    media, path = b"application/json", rng.choice((BULK_PATH, SINGLE_PATH))
    if form == "ndjson":
        media, body = b"application/x-ndjson", b"\n".join(chosen) + b"\n"
    elif form == "object":
        path, body = BULK_PATH, b'{"events": [' + b",".join(chosen) + b"]}"
    elif form == "single" and chosen:
        path, body = SINGLE_PATH, chosen[0]
    else:
        body = b"[" + b",".join(chosen) + b"]"
    headers = [(b"Content-Type", media)]
    if rng.random() < 0.3:
        headers.append((b"x-correlation-id", b"fuzz-%d" % rng.randrange(1_000)))
    return path, headers, body
