"""Ids of messages that are put through a second time. They say what of, so that every receipt still adds up.

Invariant: the same events put through again always get the same id. Within its window the broker drops the
copy; after it the ledger, unique by message id, counts one. Pure.

`X~replay`   message X, from a range of its stream (`streams.replay`). It stands in for X where the ledger
             has no row of X (its tables were lost), and counts for nothing where it has.
`X~dead-7`   event 7 of message X, from the dead letters (`streams.revival`). It was among X's dead letters,
             and is now what this message's row says.

A message of the gateway's, or of a group of them (`X.3`), has no `~` in its id.
"""

from hashlib import blake2b
from typing import Final

_REPLAY: Final = "~replay"
_DEAD: Final = "~dead-"

MAX_KEY_CHARS: Final = 200
"""What a longer id is shortened to fit in: collectors take ids of up to 255 characters."""


def replay_id(message_id: str) -> str:
    """The id of a message's replay; of a replay, its own."""
    return key(message_id) + _REPLAY


def revival_id(message_id: str, index: int) -> str:
    """The id of the message with an event that was dead-lettered, by the message it came in and its place there."""
    return f"{key(message_id)}{_DEAD}{index}"


def key(message_id: str) -> str:
    """What a message and its replay have in common; at most MAX_KEY_CHARS."""
    original = _original(message_id)
    if len(original) <= MAX_KEY_CHARS:
        return original
    digest = blake2b(original.encode(), digest_size=16).hexdigest()
    return f"{request_id(original)[:100]}-long-{digest}"


def parent(message_id: str) -> str | None:
    """The key of the message whose dead letter this is; None where it is none."""
    before, mark, _ = _original(message_id).rpartition(_DEAD)
    return before if mark else None


def root(message_id: str) -> str:
    """The key of the message that the gateway published."""
    return _original(message_id).partition(_DEAD)[0]


def request_id(message_id: str) -> str:
    """The request that a gateway's message came in."""
    return message_id.partition("-")[0]


def is_replay(message_id: str) -> bool:
    """Whether it is a message's replay."""
    return _REPLAY in message_id


def _original(message_id: str) -> str:
    return message_id.replace(_REPLAY, "")  # inside of it, where the message is one of a group
