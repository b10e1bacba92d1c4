"""`python -m streams`: bring JetStream to its definitions, look at it, and put through again what is in it."""

import argparse
import asyncio
import sys
from collections.abc import Mapping
from typing import Final

import orjson

from shared import lifecycle, logs
from shared.errors import Fatal, Retryable
from shared.events import REGISTRY
from shared.metrics import RoleMetrics
from shared.settings import LogSettings
from streams import cli
from streams.connection import Connection
from streams.dead_letters_cli import DeadLetterCommands
from streams.definitions import Definition, definition, definitions
from streams.keys import make_keys
from streams.present import retired
from streams.provision import provision
from streams.replay_cli import ReplayCommand
from streams.rights import ADMIN, config, roles
from streams.settings import NatsSettings, PublishSettings, StreamSettings
from streams.status import status

CONNECT_WAIT_S: Final = 10.0
EXIT_INTERRUPTED: Final = 130


def main() -> None:
    """Parse the command line and run it. Exits 0; 1 where it can't be done; 2 for a wrong option or setting."""
    arguments = cli.parse()
    try:
        lifecycle.run(lambda: _run(arguments), program="streams")
    except KeyboardInterrupt:
        sys.stderr.write("streams: interrupted; the same command again goes on, and doubles nothing\n")
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:  # whoever read the output has seen enough
        sys.exit(EXIT_INTERRUPTED)


async def _run(arguments: argparse.Namespace) -> None:
    if arguments.command in {"rights", "keys"}:  # these need no server
        wanted = roles(REGISTRY.sources, StreamSettings.load().names)
        if arguments.command == "rights":
            print(config(wanted, with_next=arguments.next), end="")
        else:
            for key in make_keys(arguments.folder, wanted, with_next=arguments.next):
                print(f"{key.seed_file.stem:<32} {key.public}  {key.seed_file}{' (new)' if key.is_new else ''}")
        return
    log = logs.configure(LogSettings.load(level="error"), role="streams")
    nats_settings, stream_settings = NatsSettings.load(), StreamSettings.load()
    publish_settings = PublishSettings.load()
    connection = Connection(nats_settings, name=ADMIN, log=log, metrics=RoleMetrics("streams"))
    try:
        async with asyncio.timeout(CONNECT_WAIT_S):
            await connection.open()
    except TimeoutError:
        raise Fatal(
            f"NATS at {nats_settings.safe_url} did not answer within {CONNECT_WAIT_S:g} s: is NATS_URL right?"
        ) from None
    try:
        await _do(arguments, connection, stream_settings, publish_settings)
    except Retryable as error:
        raise Fatal(str(error)) from error
    finally:
        await connection.close()


async def _do(
    arguments: argparse.Namespace, connection: Connection, streams: StreamSettings, publish: PublishSettings
) -> None:
    names, wanted = streams.names, definitions(REGISTRY.sources, streams)
    if arguments.command == "apply":
        old = await _retired(connection, streams)  # first: a smaller limit on these makes room for the new ones
        for applied in await provision(connection, [*old, *wanted], dry_run=arguments.dry_run):
            print(f"{applied.name:<32} {applied.change}{' ' + ', '.join(applied.fields) if applied.fields else ''}")
        for row in await status(connection, old):
            print(f"{row['stream']:<32} retired: {_what_is_left(row)}")
    elif arguments.command == "status":
        rows = await status(connection, wanted)
        rows += [row | {"retired": True} for row in await status(connection, await _retired(connection, streams))]
        print(orjson.dumps(rows).decode() if arguments.json else _table(rows))
    elif arguments.command == "replay":
        await ReplayCommand(connection, names, publish).run(arguments)
    else:
        await DeadLetterCommands(connection, names, publish).run(arguments)


async def _retired(connection: Connection, settings: StreamSettings) -> list[Definition]:
    """The streams that PARTITIONS no longer counts."""
    return [
        definition(one, settings, is_retired=True)
        for one in await retired(connection, settings.names, REGISTRY.sources)
    ]


def _what_is_left(row: Mapping[str, object]) -> str:
    unstored = row.get("unstored")
    if unstored is None:
        return "kept; how much of it is unread can't be seen"
    if unstored:
        return f"kept; {unstored} unread, which the collectors of its source go on with"
    return "kept for replay; nothing in it is unread"


def _table(rows: list[dict[str, object]]) -> str:
    columns = ("stream", "messages", "bytes", "unstored", "oldestUnstoredSeconds", "limitShare")
    lines = [columns, *((_name(row), *(_cell(row.get(column)) for column in columns[1:])) for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def _name(row: Mapping[str, object]) -> str:
    return f"{row['stream']} (retired)" if row.get("retired") else str(row["stream"])


def _cell(value: object) -> str:
    return "-" if value is None else str(value)


if __name__ == "__main__":
    main()
