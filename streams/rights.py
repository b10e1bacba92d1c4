"""Who may publish and subscribe to what: one account and user a role, as the server's configuration names them.

Invariant: a role may do what its program does and no more. The gateway can't take a message from a collector
or remove one; a collector touches its own source's stream, and can't publish an event. Replies come to inboxes
under a prefix of each role's own, so none can read another's.

Subjects of the JetStream API: NATS documentation, "JetStream wire API Reference"; which of them the programs
use was found by running them under these rights.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from streams.client import inbox_prefix
from streams.subjects import COLLECTOR, Names

HOME: Final = "FLOODGATE"
"""The account that has the streams. Each program but the admin's is in one of its own."""

API_PREFIX: Final = "JS.API"
"""NATS_JETSTREAM_PREFIX of these programs."""

_STREAM_NAMES: Final = "$JS.API.STREAM.NAMES"

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
    """All that a server with Floodgate's streams has to know. Streams that PARTITIONS no longer counts are in none."""
    sources = tuple(sources)
    return [_gateway(sources, names), *(_collector(source, names) for source in sources), _admin(sources, names)]


def config(wanted: Iterable[Role]) -> str:
    """The server's `accounts`; the public keys are variables of `keys.conf` beside it."""
    wanted = list(wanted)
    admin = next(role for role in wanted if role.name == ADMIN)
    others = [role for role in wanted if role is not admin]
    services, heard = (
        _by_subject(others, lambda role: role.publish),
        _by_subject(others, lambda role: [subject for subject in role.subscribe if not _is_inbox(subject)]),
    )
    exports = "".join(
        _line(f'{{ service: "{subject}", {_answers(subject)}accounts: [{accounts}] }}')
        for subject, accounts in services.items()
    ) + "".join(_line(f'{{ stream: "{subject}", accounts: [{accounts}] }}') for subject, accounts in heard.items())
    home = f"  {HOME} {{\n    jetstream: enabled\n{_users(admin, str)}    exports: [{exports}\n    ]\n  }}\n"
    return f"{_HEAD}\naccounts {{\n{home}{''.join(map(_importing, others))}}}\n"


def _gateway(sources: Sequence[str], names: Names) -> Role:
    """Events and receipts in; looks at how far the collectors are, and at what is unread and how old it is."""
    publish = [names.receipts(), *_read(names.receipts_stream), _STREAM_NAMES, names.vitals("gateway", "*")]
    parked = names.dead_letters_stream  # which the console shows, puts through again and drops
    publish += [f"$JS.API.STREAM.INFO.{parked}", *_read(parked), f"$JS.API.STREAM.MSG.DELETE.{parked}"]
    for partition in names.all(sources):
        publish += [partition.events, partition.grouped, *_backlog(partition.stream)]
    return Role(GATEWAY, publish, [*_inbox(GATEWAY), names.vitals("*", "*")])


def _collector(source: str, names: Names) -> Role:
    """Takes and settles what is in its stream, parks what can't be stored."""
    name = collector(source)
    publish, subscribe = [names.dead_letters(source), _STREAM_NAMES, names.vitals(source, "*")], _inbox(name)
    publish += [f"$JS.API.STREAM.INFO.{stream}" for stream in (names.dead_letters_stream, names.receipts_stream)]
    for stream in (partition.stream for partition in names.of(source)):
        publish += [f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{COLLECTOR}", f"$JS.ACK.{stream}.{COLLECTOR}.>"]
        publish += _backlog(stream)
        subscribe += [f"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{stream}.{COLLECTOR}"]
    return Role(name, publish, subscribe)


def _admin(sources: Iterable[str], names: Names) -> Role:
    """`python -m streams`: provisions, and puts events through again. For people, and the job of a release."""
    return Role(
        ADMIN,
        ["$JS.API.>", *(subject for one in names.all(sources) for subject in (one.events, one.grouped))],
        _inbox(ADMIN),
    )


def _backlog(stream: str) -> list[str]:
    return [f"$JS.API.STREAM.INFO.{stream}", f"$JS.API.CONSUMER.INFO.{stream}.{COLLECTOR}", *_read(stream)]


def _read(stream: str) -> list[str]:
    return [f"$JS.API.DIRECT.GET.{stream}"]


def _inbox(name: str) -> list[str]:
    return [f"{inbox_prefix(name)}.>"]


def _importing(role: Role) -> str:
    """An account of its own: what is answered can only arrive there, whatever reply subject was asked for."""
    imports = "".join(
        _line(f'{{ service: {{ account: {HOME}, subject: "{subject}" }}, to: "{_local(subject)}" }}')
        for subject in role.publish
    ) + "".join(
        _line(f'{{ stream: {{ account: {HOME}, subject: "{subject}" }} }}')
        for subject in role.subscribe
        if not _is_inbox(subject)
    )
    return f"  {_account(role)} {{\n{_users(role, _local)}    imports: [{imports}\n    ]\n  }}\n"


def _users(role: Role, spelled: Callable[[str], str]) -> str:
    return (
        f"    users: [{{ # {role.name}\n"
        f"      nkey: ${role.variable}\n"
        "      permissions: {\n"
        f"        publish: [{''.join(_quoted(spelled(one)) for one in role.publish)}\n        ]\n"
        f"        subscribe: [{''.join(map(_quoted, role.subscribe))}\n        ]\n"
        "      }\n"
        "    }]\n"
    )


def _by_subject(wanted: Iterable[Role], subjects: Callable[[Role], Iterable[str]]) -> dict[str, str]:
    """The accounts that use a subject, as a list in words: a subject can be exported once."""
    accounts: dict[str, list[str]] = {}
    for role in wanted:
        for subject in subjects(role):
            accounts.setdefault(subject, []).append(_account(role))
    return {subject: ", ".join(names) for subject, names in accounts.items()}


def _is_inbox(subject: str) -> bool:
    return subject.startswith(inbox_prefix(""))


def _local(subject: str) -> str:
    """What an importing account calls it: under `$JS.API` the server would take the asker's own JetStream."""
    return subject.replace("$JS.API", API_PREFIX)


def _account(role: Role) -> str:
    return role.variable.removesuffix("_NKEY")


def _answers(subject: str) -> str:
    """A fetch is answered by several messages, all else by one."""
    return "response_type: stream, " if ".MSG.NEXT." in subject else ""


def _line(text: str) -> str:
    return f"\n      {text}"


def _quoted(subject: str) -> str:
    return f'\n          "{subject}"'
