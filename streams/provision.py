"""Bring streams and consumers to their definitions. Idempotent; refuses what would lose data.

Invariant: an update never makes a stream hold less than it holds now, and never changes what JetStream
can only change by deleting. Such drift is told, field by field, and left to a person.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import nats.errors
from nats.js.api import ConsumerConfig, StreamConfig, StreamInfo
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from shared.errors import Fatal, Retryable, UnsafeDrift
from shared.lifecycle import heed_cancellation
from shared.logs import Logger
from streams.connection import Connection
from streams.definitions import Definition

_IMMUTABLE: Final = ("storage", "retention")
_LIMITS: Final = ("max_msgs", "max_bytes", "max_age")
_STREAM_FIELDS: Final = ("subjects", "discard", *_LIMITS, "num_replicas", "duplicate_window", "allow_direct")
_CONSUMER_FIELDS: Final = ("ack_wait", "max_deliver", "max_ack_pending", "filter_subject")
_CONSUMER_IMMUTABLE: Final = ("ack_policy", "deliver_policy")
_NO_ROOM: Final = 10047  # JSStorageResourcesExceeded
_NO_REPLICAS: Final = 10074  # JSStreamReplicasNotSupported, which the server calls an error of its own (500)


class Change(StrEnum):
    """What provisioning did, or would do, to a stream or consumer."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Applied:
    """One line of the report: what, and which fields."""

    name: str
    change: Change
    fields: tuple[str, ...] = ()


async def provision(connection: Connection, wanted: Sequence[Definition], *, dry_run: bool = False) -> list[Applied]:
    """Create what is missing, update what is safe, report each. With `dry_run` nothing is changed.

    Raises UnsafeDrift where an update would lose data, Fatal where the server has no room or refuses the
    definition, Retryable where it can't be asked now. Safe to run at the same time from many processes.
    """
    connection.require()
    jetstream = connection.jetstream
    applied: list[Applied] = []
    try:
        for definition in wanted:
            try:
                applied.append(await _apply_stream(jetstream, definition, dry_run=dry_run))
                if (consumer := definition.consumer) is not None:
                    applied.append(await _apply_consumer(jetstream, definition.name, consumer, dry_run=dry_run))
            except NotFoundError:
                if not definition.is_retired:
                    raise
                # else somebody has deleted it, as one may
    except APIError as error:
        if error.err_code == _NO_ROOM:
            raise Fatal(
                "NATS has no room for the streams: give JetStream more disk (max_file_store), or lower STREAM_MAX_BYTES"
            ) from error
        if error.err_code == _NO_REPLICAS:
            raise Fatal("NATS is no cluster and keeps no replicas: set STREAM_REPLICAS to 1") from error
        if error.code is not None and 400 <= error.code < 500:
            raise Fatal(f"NATS refuses a stream's definition: {error.description} ({error.err_code})") from error
        raise Retryable(f"NATS can't be asked for its streams now: {error!r}") from error
    except (TimeoutError, nats.errors.Error, OSError) as error:
        raise Retryable(f"NATS can't be asked for its streams now: {error!r}") from error
    return applied


async def provision_until_done(
    connection: Connection, wanted: Sequence[Definition], *, log: Logger, wait_s: float = 0.5
) -> list[Applied]:
    """`provision`, again and again while the server can't be asked: at start it may still be electing."""
    while True:
        try:
            return await provision(connection, wanted)
        except Retryable as error:
            log.warning("provisioning_waits", error=str(error))
            heed_cancellation()
            await asyncio.sleep(wait_s)


async def _apply_stream(jetstream: JetStreamContext, definition: Definition, *, dry_run: bool) -> Applied:
    name, wanted = definition.name, definition.stream
    try:
        present = await jetstream.stream_info(name)
    except NotFoundError:
        if definition.is_retired:
            raise
        if not dry_run:
            await jetstream.add_stream(wanted)
        return Applied(name, Change.CREATED)
    if definition.is_retired:  # it gets no more events, so it needs no more room
        wanted = wanted.evolve(max_bytes=min(wanted.max_bytes or -1, present.config.max_bytes or -1))
    for field in _IMMUTABLE:
        if _plain(getattr(present.config, field)) != _plain(getattr(wanted, field)):
            raise UnsafeDrift(
                f"stream {name} has {field}={_plain(getattr(present.config, field))}, "
                f"and {_plain(getattr(wanted, field))} is wanted: this can only be changed by deleting the "
                "stream and its messages, which is left to you"
            )
    fields = _differences(present.config, wanted, _STREAM_FIELDS)
    if not fields:
        return Applied(name, Change.UNCHANGED)
    _refuse_loss(name, present, wanted, fields)
    if not dry_run:
        await jetstream.update_stream(
            present.config.evolve(**{field: getattr(wanted, field) for field in _STREAM_FIELDS})
        )
    return Applied(name, Change.UPDATED, fields)


def _refuse_loss(name: str, present: StreamInfo, wanted: StreamConfig, fields: Sequence[str]) -> None:
    """Raise UnsafeDrift where messages would be deleted, have fewer copies, or lose their subject."""
    state = present.state
    held = {"max_msgs": state.messages, "max_bytes": state.bytes}
    for field in fields:
        new, old = getattr(wanted, field), getattr(present.config, field)
        if field in held and 0 < new < held[field]:
            raise UnsafeDrift(
                f"stream {name} holds {held[field]} {field.removeprefix('max_')} and its {field} would go "
                f"from {old} to {new}, which would delete messages: keep {field} at {held[field]} or more, "
                "or purge the stream yourself first"
            )
        if field == "max_age" and new and (not old or new < old) and state.messages:
            raise UnsafeDrift(
                f"stream {name} has messages and its max_age would go from {old:g} s to {new:g} s, which could "
                "delete some: keep max_age, or change it with the nats command line once you are sure"
            )
        if field == "num_replicas" and new < (old or 1):
            raise UnsafeDrift(
                f"stream {name} has {old} copies and would go to {new}, which fewer lost servers survive: is "
                f"STREAM_REPLICAS={new} meant for this installation? If so, change it with the nats command line first"
            )
        if field == "subjects" and state.messages and not set(old or ()) <= set(new or ()):
            raise UnsafeDrift(
                f"stream {name} has messages and would no longer take {sorted(set(old or ()) - set(new or ()))}: "
                "is STREAM_PREFIX right? The stream may belong to another system"
            )


async def _apply_consumer(
    jetstream: JetStreamContext, stream: str, wanted: ConsumerConfig, *, dry_run: bool
) -> Applied:
    name = f"{stream}/{wanted.durable_name}"
    try:
        present = (await jetstream.consumer_info(stream, str(wanted.durable_name))).config
    except NotFoundError:
        if not dry_run:
            await jetstream.add_consumer(stream, wanted)
        return Applied(name, Change.CREATED)
    for field in _CONSUMER_IMMUTABLE:
        if _plain(getattr(present, field)) != _plain(getattr(wanted, field)):
            raise UnsafeDrift(
                f"consumer {name} has {field}={_plain(getattr(present, field))}, and "
                f"{_plain(getattr(wanted, field))} is wanted: it would have to be deleted, and its place in the "
                "stream with it, which is left to you"
            )
    fields = _differences(present, wanted, _CONSUMER_FIELDS)
    if not fields:
        return Applied(name, Change.UNCHANGED)
    if not dry_run:
        await jetstream.add_consumer(
            stream, present.evolve(**{field: getattr(wanted, field) for field in _CONSUMER_FIELDS})
        )
    return Applied(name, Change.UPDATED, fields)


def _differences(present: object, wanted: object, fields: Sequence[str]) -> tuple[str, ...]:
    return tuple(field for field in fields if _plain(getattr(present, field)) != _plain(getattr(wanted, field)))


def _plain(value: object) -> object:
    """Enums as their text, unset limits alike: the server answers -1 or 0 for what was not set."""
    value = getattr(value, "value", value)
    return None if value in (0, -1) else value
