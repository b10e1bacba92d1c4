"""The ways in which a request is broken: its bytes, its tokens, its headers.

Invariant: a mutation is a function of its random source and its input alone, and what it makes stays small.
"""

import random
import re
from collections.abc import Callable, Sequence
from typing import Final

from tests.fuzz.corpus import Headers

MAX_BYTES: Final = 200_000
_TOKENS: Final = (
    b"null", b"true", b"false", b"NaN", b"Infinity", b"-0", b"1e999", b"-1e-999", b"9" * 40, b"0x10", b"01", b"1.",
    b'""', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"', b'"\x00"', b"\xff", b"\xc0\x80",
    b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xf4\x90\x80\x80", b"[", b"]", b"{", b"}", b",", b":", b'"', b"\\", b"\\u",
    b"\n", b"\r\n", b"\t", b" ", b"\x0b", b"\xc2\x85", b"\xe2\x80\xa8", b"[]", b"{}", b"[[]]", b'{"events":[]}',
    b'"events"', b',"events":[]', b'"\\u0065vents":[1]', b'"eventId":"x"', b'"eventId":1', b'"source":"facebook"',
    b'"source":"tiktok"', b'"data":{}', b"//", b"/**/", b"'", b"[" * 2_000, b"]" * 2_000, b'{"a":' * 1_200,
    b"," * 3_000, b'"' + b"x" * 5_000 + b'"', b'"' + b'\\"' * 2_000, b"1" * 6_000,
)  # fmt: skip
_VALUES: Final = (
    b"null", b"[]", b"{}", b"-1", b"1e400", b"9223372036854775808", b"-9223372036854775809", b"1.5", b"true", b'""',
    b'" "', b'"0"', b'"-0.001"', b'"1e5"', b'"NaN"', b'"99999999999999999999.99"', b'"0.0000000001"',
    b'"2026-02-30T00:00:00Z"', b'"2026-01-25T24:00:00Z"', b'"2026-01-25T17:31:60Z"', b'"0000-01-01T00:00:00Z"',
    b'"9999-12-31T23:59:59.999999999-23:59"', b'"2026-01-25T17:31:13.660+99:00"', b'"1769362273"',
    b'"\\u0000"', b'"\\ud800"', b'"\\udfff x"', b'"\xe2\x80\xae"', b'"' + b"y" * 3_000 + b'"', b'"facebook"',
    b'"tiktok"', b'"top"', b'"bottom"', b'"ad.view"', b'"like"', b"[null]", b'{"a":{"a":{"a":[]}}}',
)  # fmt: skip
_VALUE: Final = re.compile(rb'(?<=":)\s*("(?:[^"\\]|\\.){0,200}"|-?[0-9.eE+]{1,40}|null|true|false)')
_NAME: Final = re.compile(rb'"[A-Za-z]{1,30}"(?=\s*:)')
_MEDIA: Final = (
    b"application/json", b"application/x-ndjson", b"application/ndjson", b"text/json", b"text/plain", b"", b" ",
    b"application/json; charset=utf-8", b"application/json;charset=UTF8", b"application/json; charset=utf-16",
    b"application/json; charset=", b'application/json; charset="utf-8"', b"application/json;;;", b"APPLICATION/JSON",
    b"application/json, application/x-ndjson", b"multipart/form-data; boundary=x", b"application/json; a=\xff\xfe",
    b"application/x-www-form-urlencoded", b"*/*", b"json", b"application/" + b"j" * 2_000, b"\xf0\x9f\x98\x80",
    b'application/json; charset="utf-8', b"application/json; charset*=utf-8''x",
)  # fmt: skip
_CODED: Final = (
    b"gzip", b"x-gzip", b"deflate", b"zstd", b"identity", b"", b"br", b"GZIP", b" gzip ", b"gzip, gzip",
    b"gzip, identity", b"\xff", b"zlib", b"g" * 1_000, b"compress", b"deflate;q=1",
)  # fmt: skip
_IDS: Final = (
    b"", b"a", b"a b", b"a" * 128, b"a" * 129, b"a" * 4_000, b"\xc3\xa9", b"\xff\xfe", b"..", b"*", b">", b"x.>",
    b"%00", b"'; DROP TABLE events; --", b"${jndi:x}", b"a\tb", b"{}", b"0", b"A/b=c@d:e+f._-", b"<script>", b"-a",
)  # fmt: skip
_TRACES: Final = (
    b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", b"00-0-0-0", b"", b"x" * 3_000, b"\xff",
    b"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", b"- -",
)  # fmt: skip

Mutation = Callable[[random.Random, bytes], bytes]


def truncated(rng: random.Random, body: bytes) -> bytes:
    """Its beginning, or its end."""
    at = rng.randrange(len(body) + 1)
    return body[:at] if rng.random() < 0.7 else body[at:]


def bits_flipped(rng: random.Random, body: bytes) -> bytes:
    """Up to eight bits."""
    changed = bytearray(body)
    for _ in range(rng.randint(1, 8) if body else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def bytes_replaced(rng: random.Random, body: bytes) -> bytes:
    """A short piece becomes random bytes."""
    at = rng.randrange(len(body) + 1)
    return body[:at] + rng.randbytes(rng.randint(1, 16)) + body[at + rng.randint(0, 16) :]


def piece_removed(rng: random.Random, body: bytes) -> bytes:
    """A piece from the middle."""
    at = rng.randrange(len(body) + 1)
    return body[:at] + body[at + rng.randint(1, 60) :]


def piece_doubled(rng: random.Random, body: bytes) -> bytes:
    """A piece comes twice, or many times."""
    start = rng.randrange(len(body) + 1)
    piece = body[start : start + rng.randint(1, 500)]
    return body[: start + len(piece)] + piece * rng.choice((1, 1, 2, 20)) + body[start + len(piece) :]


def pieces_swapped(rng: random.Random, body: bytes) -> bytes:
    """Two halves of a stretch change places."""
    one, two, three = sorted(rng.randrange(len(body) + 1) for _ in range(3))
    return body[:one] + body[two:three] + body[one:two] + body[three:]


def token_inserted(rng: random.Random, body: bytes) -> bytes:
    """One or two tokens, anywhere."""
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(len(body) + 1)
        body = body[:at] + rng.choice(_TOKENS) + body[at:]
    return body


def value_replaced(rng: random.Random, body: bytes) -> bytes:
    """A member's value becomes another one: the body stays JSON as a rule."""
    return _one_replaced(rng, body, _VALUE, _VALUES)


def name_replaced(rng: random.Random, body: bytes) -> bytes:
    """A member's name becomes another one's, so that one is missing or comes twice."""
    names = [match.group() for match in _NAME.finditer(body)] or [b'"events"']
    return _one_replaced(rng, body, _NAME, [rng.choice(names), b'"events"', b'""', b'"\\ud800"'])


def wrapped(rng: random.Random, body: bytes) -> bytes:
    """As a part of something else, or with blanks around it."""
    before, after = rng.choice(
        (
            (b"[", b"]"), (b'{"events":', b"}"), (b'{"a":1,"events":', b',"events":[]}'), (b"\xef\xbb\xbf", b""),
            (b" \r\n\t", b" \n"), (b'"', b'"'), (b"\x00", b""), (b"", b"\x00"), (b"", b"garbage"), (b"[[", b"]]"),
            (b"\xff\xfe", b""), (b"[" * 600, b"]" * 600), (b'{"events":' * 50, b"}" * 50),
        )
    )  # fmt: skip
    return before + body + after


def other_charset(rng: random.Random, body: bytes) -> bytes:
    """The same text in another encoding."""
    return body.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-32-be", "latin-1", "utf-7")), "replace")


MUTATIONS: Final[tuple[Mutation, ...]] = (
    truncated, bits_flipped, bytes_replaced, piece_removed, piece_doubled, pieces_swapped, token_inserted,
    value_replaced, value_replaced, name_replaced, wrapped, other_charset,
)  # fmt: skip


def spliced(rng: random.Random, one: bytes, other: bytes) -> bytes:
    """The beginning of one body and the end of another."""
    return one[: rng.randrange(len(one) + 1)] + other[rng.randrange(len(other) + 1) :]


def headers_changed(rng: random.Random, headers: Headers) -> Headers:
    """Another media type, coding, correlation id or trace; one twice, one gone, or one nobody knows."""
    changed = list(headers)
    name, values = rng.choice(
        (
            (b"Content-Type", _MEDIA), (b"Content-Encoding", _CODED), (b"x-correlation-id", _IDS),
            (b"traceparent", _TRACES), (b"X-" + b"y" * rng.randint(1, 200), _IDS), (b"Expect", (b"100-continue",)),
            (b"Accept", _MEDIA), (b"Cookie", _IDS), (b"X-Forwarded-For", _IDS), (b"Range", (b"bytes=0-1",)),
        )
    )  # fmt: skip
    way = rng.random()
    if way < 0.75:
        changed = [header for header in changed if header[0].lower() != name.lower()]
    if way < 0.9:
        changed.append((name, rng.choice(values)))
    elif changed:
        changed.pop(rng.randrange(len(changed)))
    return changed


def _one_replaced(rng: random.Random, body: bytes, pattern: re.Pattern[bytes], values: Sequence[bytes]) -> bytes:
    matches = list(pattern.finditer(body[:MAX_BYTES]))
    if not matches:
        return body
    match = rng.choice(matches)
    return body[: match.start()] + rng.choice(values) + body[match.end() :]
