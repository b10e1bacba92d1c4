"""Content codings, decoded piece by piece with a bound on each piece.

Invariant: `feed` never makes more than it was allowed to, whatever it is fed: a bomb stops at the limit
with memory flat. aiohttp's own decompression is switched off, as a signature is over the raw body.
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
_PIECE_BYTES: Final = 1024 * 1024  # decoded at a time, beside what is in the body already
_MAX_MEMBERS: Final = 10_000  # more than block compressors make of a body; empty ones cost time and no bytes
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
    """Decodes one body. Raises KeyError for a coding that is not known."""

    def __init__(self, coding: str) -> None:
        self._make, self._many = _DECODERS[coding]
        self._decoder = self._make()
        self._fed = False
        self._members = 1

    def feed(self, data: bytes, into: bytearray, max_bytes: int) -> bool:
        """Decode `data` and append it to `into`; False where `into` would grow over `max_bytes`.

        Raises BrokenEncoding.
        """
        try:
            while data or self._decoder.has_more:
                if self._decoder.eof:
                    if not self._many:
                        raise BrokenEncoding("there is more after its end")
                    if self._members == _MAX_MEMBERS:
                        raise BrokenEncoding(f"it has more than {_MAX_MEMBERS} parts")
                    self._decoder = self._make()
                    self._members += 1
                self._fed = True
                # one byte more than allowed shows that there is more than allowed
                into += self._decoder.decode(data, min(_PIECE_BYTES, max_bytes - len(into) + 1))
                if len(into) > max_bytes:
                    return False
                data = self._decoder.unused_data if self._decoder.eof else b""
        except (zlib.error, zstd.ZstdError) as error:
            raise BrokenEncoding(str(error)) from error
        return True

    def finish(self) -> None:
        """The body has ended. Raises BrokenEncoding where the coding has not."""
        if self._fed and not self._decoder.eof:
            raise BrokenEncoding("it ends too early")
