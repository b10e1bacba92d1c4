"""Content codings, decoded piece by piece with a bound on each piece.

Invariant: `piece` makes no more than it was allowed to and starts no more than MEMBERS_A_PIECE members, whatever was
fed: between two pieces of a bomb its reader books, refuses, and lets others run. aiohttp's own decompression is
switched off, as a signature is over the raw body.
"""

import sys
import zlib
from collections.abc import Callable
from typing import Any, Final, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_GZIP_WBITS: Final = 16 + zlib.MAX_WBITS
_ZLIB_WBITS: Final = zlib.MAX_WBITS
_RAW_DEFLATE_WBITS: Final = -zlib.MAX_WBITS
_MAX_MEMBERS: Final = 10_000  # more than block compressors make of a body; empty ones cost time and no bytes
MEMBERS_A_PIECE: Final = 200
"""Started in a piece, at most: they take as long as a megabyte does."""
_ZSTD_WINDOW_LOG: Final = 23  # RFC 8878, 3.1.1.1.2: decoders should take windows up to 8 MiB, and may refuse more


class BrokenEncoding(Exception):
    """The body is not in the coding it claims, or ends too early."""


class _Decoder(Protocol):
    """One member (gzip) or frame (zstd) of a body."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def has_more(self) -> bool: ...
    def decode(self, data: bytes, max_bytes: int) -> bytes: ...


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._decoder = zlib.decompressobj(wbits)
        self._was_cut = False

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    @property
    def has_more(self) -> bool:
        return self._was_cut and not self._decoder.eof  # zlib may hold output back with all input taken

    def decode(self, data: bytes, max_bytes: int) -> bytes:
        piece = self._decoder.decompress(self._decoder.unconsumed_tail + data, max_bytes)
        self._was_cut = len(piece) == max_bytes
        return piece


class _Deflate(_Zlib):
    """RFC 9110's deflate is zlib's format; some senders mean raw deflate, which the first byte tells apart."""

    def __init__(self) -> None:
        super().__init__(_ZLIB_WBITS)
        self._started = False

    def decode(self, data: bytes, max_bytes: int) -> bytes:
        if data and not self._started:
            self._started = True
            if data[0] & 0x0F != zlib.DEFLATED:
                self._decoder = zlib.decompressobj(_RAW_DEFLATE_WBITS)
        return super().decode(data, max_bytes)


class _Zstd:
    def __init__(self) -> None:
        options: Any = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        self._decoder = zstd.ZstdDecompressor(options=options)

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    @property
    def has_more(self) -> bool:
        return not self._decoder.eof and not self._decoder.needs_input

    def decode(self, data: bytes, max_bytes: int) -> bytes:
        return self._decoder.decompress(data, max_bytes)


_DECODERS: Final[dict[str, tuple[Callable[[], _Decoder], bool]]] = {
    # coding: (decoder of one member, whether members may follow each other)
    "gzip": (lambda: _Zlib(_GZIP_WBITS), True),
    "x-gzip": (lambda: _Zlib(_GZIP_WBITS), True),  # RFC 9110, 8.4.1.3: to be taken as gzip
    "deflate": (_Deflate, False),
    "zstd": (_Zstd, True),
}

CODINGS: Final = ("gzip", "deflate", "zstd")


class Decompressor:
    """Decodes one body: `feed` it, take pieces for as long as it `has_more`, and so on; then `finish`.

    Raises KeyError for a coding that is not known.
    """

    def __init__(self, coding: str) -> None:
        self._make, self._many = _DECODERS[coding]
        self._decoder = self._make()
        self._data = b""
        self._fed = False
        self._members = 1

    def feed(self, data: bytes) -> None:
        """The next bytes of the body, once there are no more of those before."""
        self._data = data

    @property
    def has_more(self) -> bool:
        """Whether there is something to decode in what was fed."""
        return bool(self._data) or self._decoder.has_more

    def piece(self, max_bytes: int) -> bytearray:
        """The next decoded bytes, `max_bytes` (1 or more) at most, and perhaps none. Raises BrokenEncoding."""
        piece = bytearray()
        last_member = self._members + MEMBERS_A_PIECE
        try:
            while self.has_more and len(piece) < max_bytes and self._members < last_member:
                if self._decoder.eof:
                    self._next_member()
                self._fed = True
                piece += self._decoder.decode(self._data, max_bytes - len(piece))
                self._data = self._decoder.unused_data if self._decoder.eof else b""
        except (zlib.error, zstd.ZstdError) as error:
            raise BrokenEncoding(str(error)) from error
        return piece

    def finish(self) -> None:
        """The body has ended. Raises BrokenEncoding where the coding has not."""
        if self._fed and not self._decoder.eof:
            raise BrokenEncoding("it ends too early")

    def _next_member(self) -> None:
        if not self._many:
            raise BrokenEncoding("there is more after its end")
        if self._members == _MAX_MEMBERS:
            raise BrokenEncoding(f"it has more than {_MAX_MEMBERS} parts")
        self._decoder = self._make()
        self._members += 1
