"""A validator of all platforms, and what it says of an event."""

import json
from typing import Any

from shared.events import EventValidator, Rejection

MAX_EVENT_BYTES = 64 * 1024
VALIDATOR = EventValidator(max_event_bytes=MAX_EVENT_BYTES)


def refused(event: Any, validator: EventValidator = VALIDATOR) -> Rejection:
    """Holds an event to be refused; why."""
    found = validator.validate(event if isinstance(event, bytes) else json.dumps(event).encode())
    assert isinstance(found, Rejection), found
    return found


def source_of(event: bytes, validator: EventValidator = VALIDATOR) -> str:
    """Holds an event to be valid; its source."""
    found = validator.validate(event)
    assert not isinstance(found, Rejection), found
    return found.source
