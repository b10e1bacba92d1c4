"""`python -m streams apply | status`: bring JetStream to its definitions, or look at it."""

import argparse
import asyncio
from typing import Final

import orjson

from shared import lifecycle, logs
from shared.errors import Fatal
from shared.events import REGISTRY
from shared.metrics import RoleMetrics
from shared.settings import LogSettings
from streams.connection import Connection
from streams.definitions import definitions
from streams.provision import provision
from streams.settings import NatsSettings, StreamSettings
from streams.status import status

CONNECT_WAIT_S: Final = 10.0


def main() -> None:
    """Parse the command line and run it. Exits 0; 1 where the server can't or won't; 2 for a wrong setting."""
    parser = argparse.ArgumentParser(prog="streams", description="The JetStream streams and consumers of Floodgate.")
    commands = parser.add_subparsers(dest="command", required=True)
    apply = commands.add_parser("apply", help="create what is missing, update what is safe, refuse what loses data")
    apply.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")
    show = commands.add_parser("status", help="messages, bytes and backlog of each stream")
    show.add_argument("--json", action="store_true", help="one JSON array instead of a table")
    arguments = parser.parse_args()
    lifecycle.run(lambda: _run(arguments), program="streams")


async def _run(arguments: argparse.Namespace) -> None:
    log = logs.configure(LogSettings.load(level="error"), role="streams")
    nats_settings, stream_settings = NatsSettings.load(), StreamSettings.load()
    wanted = definitions(REGISTRY.sources, stream_settings)
    connection = Connection(nats_settings, name="floodgate-streams", log=log, metrics=RoleMetrics("streams"))
    try:
        async with asyncio.timeout(CONNECT_WAIT_S):
            await connection.open()
    except TimeoutError:
        raise Fatal(
            f"NATS at {nats_settings.safe_url} did not answer within {CONNECT_WAIT_S:g} s: is NATS_URL right?"
        ) from None
    try:
        if arguments.command == "apply":
            for applied in await provision(connection, wanted, dry_run=arguments.dry_run):
                print(f"{applied.name:<32} {applied.change}{' ' + ', '.join(applied.fields) if applied.fields else ''}")
        else:
            rows = await status(connection, wanted)
            print(orjson.dumps(rows).decode() if arguments.json else _table(rows))
    finally:
        await connection.close()


def _table(rows: list[dict[str, object]]) -> str:
    columns = ("stream", "messages", "bytes", "unstored", "oldestUnstoredSeconds", "limitShare")
    lines = [columns, *(tuple(str(row.get(column, "-")) for column in columns) for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


if __name__ == "__main__":
    main()
