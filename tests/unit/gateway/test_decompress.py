"""Decoding content codings, with a bound on what comes out."""

import contextlib
import gzip
import os
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.decompress import CODINGS, MEMBERS_A_PIECE, BrokenEncoding, Decompressor

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLAIN = b'[{"eventId": "x"}]' * 500
LIMIT = 8 * 1024 * 1024


def _raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def _zstd(data: bytes) -> bytes:
    return zstd.compress(data)


FORMATS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x_gzip": ("x-gzip", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "raw_deflate": ("deflate", _raw_deflate),
    "zstd": ("zstd", _zstd),
}


def _decode(
    coding: str, data: bytes, *, chunk: int = 65_536, limit: int = LIMIT, piece: int = 1024 * 1024
) -> bytes | None:
    """The decoded bytes; None where they are over the limit."""
    decompressor, into = Decompressor(coding), bytearray()
    for start in range(0, len(data), chunk):
        decompressor.feed(data[start : start + chunk])
        while decompressor.has_more:
            decoded = decompressor.piece(piece)
            assert len(decoded) <= piece
            if len(into) + len(decoded) > limit:
                return None
            into += decoded
    decompressor.finish()
    return bytes(into)


@pytest.mark.parametrize("piece", [1, 100, 1024 * 1024])
@pytest.mark.parametrize("chunk", [1, 7, 65_536])
@pytest.mark.parametrize("name", FORMATS)
def test_what_was_compressed_comes_out_again_however_it_is_cut(name: str, chunk: int, piece: int) -> None:
    coding, compress = FORMATS[name]
    assert _decode(coding, compress(PLAIN), chunk=chunk, piece=piece) == PLAIN
    assert _decode(coding, compress(b""), chunk=chunk) == b""


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("size", [1024 * 1024 + extra for extra in (-1, 0, 1)] + [3 * 1024 * 1024])
def test_nothing_is_held_back_at_the_edges_of_a_piece(name: str, size: int) -> None:
    coding, compress = FORMATS[name]
    for plain in (os.urandom(size), b"\0" * size):
        assert _decode(coding, compress(plain), limit=size) == plain
        assert _decode(coding, compress(plain), limit=size - 1) is None


@pytest.mark.parametrize("over", range(1, 258, 32))
def test_what_zlib_holds_back_with_all_its_input_taken_comes_out(over: int) -> None:
    plain = b"\0" * (1024 * 1024 + over)
    compressor = zlib.compressobj(level=1, wbits=-zlib.MAX_WBITS)
    assert _decode("deflate", compressor.compress(plain) + compressor.flush()) == plain


@given(
    parts=st.lists(st.binary(max_size=200), min_size=1, max_size=5),
    chunk=st.integers(1, 500),
    piece=st.integers(1, 20),
)
def test_members_and_frames_may_follow_each_other(parts: list[bytes], chunk: int, piece: int) -> None:
    for coding, compress in (FORMATS["gzip"], FORMATS["zstd"]):
        assert _decode(coding, b"".join(map(compress, parts)), chunk=chunk, piece=piece) == b"".join(parts)


@pytest.mark.parametrize("name", FORMATS)
def test_a_bomb_stops_at_the_limit_with_memory_flat(name: str) -> None:
    coding, compress = FORMATS[name]
    bomb = compress(b"\0" * (16 * LIMIT))
    tracemalloc.start()
    try:
        assert _decode(coding, bomb) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * LIMIT


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_members_that_hold_nothing_are_a_piece_too_once_they_are_many(name: str) -> None:
    coding, compress = FORMATS[name]
    decompressor = Decompressor(coding)
    decompressor.feed(compress(b"") * 10_000)
    pieces = 0
    while decompressor.has_more:
        assert decompressor.piece(1) == b""
        pieces += 1
    assert pieces == 10_000 / MEMBERS_A_PIECE


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_bomb_of_empty_members_is_refused(name: str) -> None:
    coding, compress = FORMATS[name]
    assert _decode(coding, compress(b"") * 10_000) == b""
    with pytest.raises(BrokenEncoding, match="more than 10000 parts"):
        _decode(coding, compress(b"") * 10_001)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("cut", [1, 4, 20])
def test_what_ends_too_early_is_refused(name: str, cut: int) -> None:
    coding, compress = FORMATS[name]
    with pytest.raises(BrokenEncoding, match="too early"):
        _decode(coding, compress(os.urandom(200))[:-cut])


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("chunk", [1, 65_536])
def test_garbage_after_the_end_is_refused(name: str, chunk: int) -> None:
    coding, compress = FORMATS[name]
    with pytest.raises(BrokenEncoding):
        _decode(coding, compress(PLAIN) + b"garbage", chunk=chunk)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_flipped_bit_is_refused(coding: str) -> None:
    compressors: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "zstd": _checked_zstd,
    }
    compress = compressors[coding]
    damaged = bytearray(compress(os.urandom(500)))
    damaged[-3] ^= 1
    with pytest.raises(BrokenEncoding):
        _decode(coding, bytes(damaged))


def _checked_zstd(data: bytes) -> bytes:
    options: dict[int, int] = {zstd.CompressionParameter.checksum_flag: 1}
    return zstd.compress(data, options=options)


def test_a_zstd_frame_with_a_window_over_8_mib_is_refused() -> None:
    def frame(window_log: int) -> bytes:
        options: dict[int, int] = {
            zstd.CompressionParameter.window_log: window_log,
            zstd.CompressionParameter.content_size_flag: 0,
        }
        compressor: Any = zstd.ZstdCompressor(options=options)
        return bytes(compressor.compress(PLAIN) + compressor.flush())

    assert _decode("zstd", frame(23)) == PLAIN
    with pytest.raises(BrokenEncoding):
        _decode("zstd", frame(27))


@pytest.mark.parametrize("coding", ["br", "", "GZIP", "gzip, gzip"])
def test_an_unknown_coding_is_a_key_error(coding: str) -> None:
    with pytest.raises(KeyError):
        Decompressor(coding)


@given(data=st.binary(min_size=1, max_size=200))
def test_no_bytes_make_it_raise_anything_else(data: bytes) -> None:
    for coding in CODINGS:
        with contextlib.suppress(BrokenEncoding):
            _decode(coding, data)
