"""Who may publish and subscribe to what: one user a role, as the server's configuration names them.

Invariant: a role may do what its program does and no more. The gateway can't take a message from a collector
or remove one; a collector touches its own source's stream, and can't publish an event. Replies come to inboxes
under a prefix of each role's own, so none can read another's. This is about what a client asks for: the server
checks no reply subject, so a stolen key can have answers sent anywhere (docs/operations.md, "Rights").

Subjects of the JetStream API: NATS documentation, "JetStream wire API Reference"; which of them the programs
use was found by running them under these rights.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from streams.client import inbox_prefix
from streams.subjects import COLLECTOR, Names

GATEWAY: Final = "floodgate-gateway"
ADMIN: Final = "floodgate-streams"

_HEAD: Final = """\
# Who may do what: written by `python -m streams rights`, for the STREAM_PREFIX that it is run with.
# docs/operations.md says what each right is for. `python -m streams keys` writes keys.conf.
include "keys.conf"
"""


def collector(source: str) -> str:
    """The name of a source's collectors, as clients and as a role."""
    return f"floodgate-collector-{source}"


@dataclass(frozen=True, slots=True)
class Role:
    """A client's name, and the subjects that it may publish and subscribe to."""

    name: str
    publish: Sequence[str]
    subscribe: Sequence[str]

    @property
    def variable(self) -> str:
        """What the server's configuration calls its public key: GATEWAY_NKEY, COLLECTOR_FACEBOOK_NKEY."""
        return f"{self.name.removeprefix('floodgate-').replace('-', '_').upper()}_NKEY"


def roles(sources: Iterable[str], names: Names) -> list[Role]:
    """All that a server with Floodgate's streams has to know."""
    sources = tuple(sources)
    return [_gateway(sources, names), *(_collector(source, names) for source in sources), _admin(sources, names)]


def config(wanted: Iterable[Role]) -> str:
    """The server's `authorization`; the public keys are variables of `keys.conf` beside it."""
    return f"{_HEAD}\nauthorization {{\n  users: [\n{''.join(map(_user, wanted))}  ]\n}}\n"


def _gateway(sources: Sequence[str], names: Names) -> Role:
    """Events and receipts in; looks at how far the collectors are, and at what is unread and how old it is."""
    publish = [names.receipts(), *_read(names.receipts_stream)]
    for source in sources:
        publish += [names.events(source), names.grouped(source), *_backlog(names.stream(source))]
    return Role(GATEWAY, publish, _inbox(GATEWAY))


def _collector(source: str, names: Names) -> Role:
    """Takes and settles what is in its stream, parks what can't be stored."""
    stream, name = names.stream(source), collector(source)
    return Role(
        name,
        [
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{COLLECTOR}",
            f"$JS.ACK.{stream}.{COLLECTOR}.>",
            names.dead_letters(source),
            *_backlog(stream),
        ],
        [*_inbox(name), f"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{stream}.{COLLECTOR}"],
    )


def _admin(sources: Iterable[str], names: Names) -> Role:
    """`python -m streams`: provisions, and puts events through again. For people, and the job of a release."""
    return Role(
        ADMIN,
        ["$JS.API.>", *(subject for source in sources for subject in (names.events(source), names.grouped(source)))],
        _inbox(ADMIN),
    )


def _backlog(stream: str) -> list[str]:
    return [f"$JS.API.STREAM.INFO.{stream}", f"$JS.API.CONSUMER.INFO.{stream}.{COLLECTOR}", *_read(stream)]


def _read(stream: str) -> list[str]:
    return [f"$JS.API.DIRECT.GET.{stream}"]


def _inbox(name: str) -> list[str]:
    return [f"{inbox_prefix(name)}.>"]


def _user(role: Role) -> str:
    return (
        f"    {{ # {role.name}\n"
        f"      nkey: ${role.variable}\n"
        "      permissions: {\n"
        f"        publish: [{_lines(role.publish)}]\n"
        f"        subscribe: [{_lines(role.subscribe)}]\n"
        "      }\n"
        "    }\n"
    )


def _lines(subjects: Sequence[str]) -> str:
    return "".join(f'\n          "{subject}"' for subject in subjects) + "\n        "
