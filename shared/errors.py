"""The classes of failure, which decide what happens next; nothing else about an error does.

FloodgateError
├── Retryable     it may work next time: hold or nak with delay, pause, try again
│   └── NotDurable    a message was not acknowledged by the broker after all attempts
│       └── GivenUp       it was not even sent: nobody waits for it any more
├── Pressure      a server is out of room (disk, memory): stop fetching, say so, wait
├── Poison        this input can never work: isolate it, dead-letter it, go on
└── Fatal         nothing can work until a person acts: exit non-zero, acknowledge nothing
    ├── SettingsError   a setting is wrong or missing
    └── UnsafeDrift     a stream or consumer on the server differs in a way that would lose data
"""

from shared.outcomes import DeadLetterReason, PublishFailure


class FloodgateError(Exception):
    """Base of all errors that are part of the design. Anything else that is raised is a bug."""


class Retryable(FloodgateError):
    """It may work next time."""


class NotDurable(Retryable):
    """A message was not acknowledged by the broker; it may or may not be there."""

    def __init__(self, failure: PublishFailure, detail: str) -> None:
        super().__init__(f"{failure}: {detail}")
        self.failure = failure


class GivenUp(NotDurable):
    """A message was given up before its first attempt; it is not at the broker."""


class Pressure(FloodgateError):
    """A server is out of room."""


class Poison(FloodgateError):
    """This input can never work."""

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Fatal(FloodgateError):
    """Nothing can work until a person acts."""


class SettingsError(Fatal):
    """A setting is wrong or missing."""


class UnsafeDrift(Fatal):
    """What is on the server differs from the definition in a way that an update would lose data."""
