"""`python -m gateway keys new`: make the credentials of a sender.

Invariant: the key (or signing secret) is printed once, to standard output, and stored nowhere; what goes into the
settings is its hash, or the name of the place where the secret is to be put.
"""

import argparse
import base64
import re
import secrets
from typing import Final

from gateway import senders
from gateway.scopes import Scope
from gateway.signatures import Scheme
from shared.errors import SettingsError
from shared.events import SOURCES

KEY_PREFIX: Final = "fgk_"
"""Lets scanners of leaked secrets, and people, know what it is."""

_KEY_BYTES: Final = 32
_NAMES: Final = "a-z, 0-9, - and _, 32 characters at most"


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `keys new` to the gateway's commands."""
    keys = commands.add_parser("keys", help="make the credentials of a sender")
    new = keys.add_subparsers(title="commands", required=True, metavar="new").add_parser(
        "new",
        help="print a new key and the entry for SENDERS_FILE",
        description="Makes a sender: prints its key once, and its entry for the file that SENDERS_FILE names.",
    )
    new.add_argument("--name", required=True, type=_name, help=f"of the sender: {_NAMES}")
    new.add_argument(
        "--source", action="append", choices=[*SOURCES, senders.ANY_SOURCE], required=True, help="that it may send"
    )
    new.add_argument(
        "--scope", action="append", choices=list(Scope), help="what it may do; repeatable (default: ingest)"
    )
    new.add_argument(
        "--signature", choices=list(Scheme), help="it signs its requests this way, and has no key; the secret of meta "
        "and tiktok is the app's own, which their platform shows",
    )  # fmt: skip
    new.set_defaults(command=_new)


def _new(arguments: argparse.Namespace) -> None:
    name, scheme = arguments.name, arguments.signature
    lines = [f"[senders.{name}]", f"sources = {_list(arguments.source)}"]
    if arguments.scope:
        lines.append(f"scopes = {_list(arguments.scope)}")
    variable = f"{name.upper().replace('-', '_')}_SECRET"
    environment: dict[str, str] = {}
    if scheme is None:
        key = KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
        told = (
            f"The key of {name}, which is shown this once; it is sent as x-api-key or Authorization: Bearer:\n\n{key}"
        )
        lines.append(f'key_hashes = ["{senders.key_hash(key)}"]')
    else:
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
        environment[variable] = secret
        told = f"Its platform is given the address …/webhook/events/bulk?{'sender=' + name}\n\n"
        if scheme == Scheme.STANDARD_WEBHOOKS:
            told += f"The secret of {name}, which is shown this once; put it into the variable {variable}:\n\n{secret}"
        else:
            told += f"Put the app's secret, which its platform shows, into the variable {variable}."
        lines += [f'signature = "{scheme}"', f'secrets = [{{ variable = "{variable}" }}]']
    entry = "\n".join(lines)
    try:
        senders.load(entry, SOURCES, environment)
    except SettingsError as error:
        raise SystemExit(f"gateway keys new: {error}") from None
    print(f"{told}\n\nFor the file that SENDERS_FILE names:\n\n{entry}")


def _name(text: str) -> str:
    if re.fullmatch(senders.NAME, text) is None:
        raise argparse.ArgumentTypeError(f"{text!r}: takes {_NAMES}")
    return text


def _list(words: list[str]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"
