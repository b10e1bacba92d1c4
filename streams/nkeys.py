"""A NATS user's key: an Ed25519 pair in NATS' spelling, and what a credentials file holds.

Invariant: the seed is never part of a message or a repr. Source: NATS documentation, "NKeys"; a key is base32
of a prefix, 32 bytes, and their CRC-16.
"""

import re
from base64 import b32decode, b32encode, b64encode
from binascii import Error as NotBase32
from binascii import crc_hqx
from secrets import token_bytes
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SEED: Final = 18 << 3  # the letter S
_USER: Final = 20 << 3  # the letter U
_SEED_PREFIX: Final = bytes([_SEED | _USER >> 5, (_USER & 31) << 3])
_KEY_BYTES: Final = 32
_CHECK_BYTES: Final = 2

_JWT: Final = re.compile(r"-+BEGIN NATS USER JWT-+\s+([\w.-]+)\s+-+END NATS USER JWT-+", re.ASCII)
_CREDS_SEED: Final = re.compile(r"-+BEGIN USER NKEY SEED-+\s+(\w+)\s+-+END USER NKEY SEED-+", re.ASCII)


class UserKey:
    """One user's key pair, from its seed. Raises ValueError, without the seed in it, where that is none."""

    def __init__(self, seed: str) -> None:
        try:
            raw = b32decode(seed + "=" * (-len(seed) % 8))
        except (NotBase32, ValueError):
            raise ValueError("not a user's seed") from None
        if not raw.startswith(_SEED_PREFIX) or len(raw) != len(_SEED_PREFIX) + _KEY_BYTES + _CHECK_BYTES:
            raise ValueError("not a user's seed")
        body = raw[:-_CHECK_BYTES]
        if _spelled(body) != seed:
            raise ValueError("not a user's seed: a letter of it is wrong")
        self.seed: Final = seed
        self._key = Ed25519PrivateKey.from_private_bytes(body[len(_SEED_PREFIX) :])

    @classmethod
    def new(cls) -> Self:
        """A pair that nobody has."""
        return cls(_spelled(_SEED_PREFIX + token_bytes(_KEY_BYTES)))

    @property
    def public(self) -> str:
        """The public key, which the server's configuration names: U and 55 letters and digits."""
        return _spelled(bytes([_USER]) + self._key.public_key().public_bytes_raw())

    def sign(self, nonce: str) -> bytes:
        """The server's nonce, signed, in base64."""
        return b64encode(self._key.sign(nonce.encode()))


def read_creds(text: str) -> tuple[str, UserKey]:
    """The JWT and the key of a `.creds` file's text. Raises ValueError where it holds no such two."""
    jwt, seed = _JWT.search(text), _CREDS_SEED.search(text)
    if jwt is None or seed is None:
        raise ValueError("not the text of a .creds file")
    return jwt[1], UserKey(seed[1])


def _spelled(body: bytes) -> str:
    # NATS' CRC-16 is the one of XMODEM, which crc_hqx computes; the low byte comes first.
    return b32encode(body + crc_hqx(body, 0).to_bytes(_CHECK_BYTES, "little")).decode().rstrip("=")
