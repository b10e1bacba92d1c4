"""Settings of the local stack, read once from the environment in `__main__`.

The programs of the stack read their own settings: what stands here is only what the stack itself decides by.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import SettingError
from deploy.local.ports import HIGHEST_PORT
from shared.errors import SettingsError
from shared.settings import FROM_FILE, secret

DEFAULT_GATEWAY_PORT = 3000
USUAL_INTERNAL_PORT = 3001


@dataclass(frozen=True, kw_only=True)
class LocalSettings:
    """What `python -m deploy.local` takes from the environment."""

    data_dir: Path
    """Absolute; where both servers keep their data."""
    host: str
    port: int
    """The gateway's. The only port that never moves: senders have it in their configuration."""
    internal_host: str
    internal_port: int | None
    """Where the gateway is looked at, apart from where it is posted to. Moves when taken. None: one port for both.

    With senders there is always one: on the public port /metrics takes a key, which the stack does not have.
    """
    nats_url: str | None
    """Somebody else's server instead of the embedded one."""
    database_url: str | None

    @property
    def gateway_url(self) -> str:
        """Where this machine reaches the gateway, also when it is bound to every address."""
        return _url(self.host, self.port)

    def internal_url(self, port: int) -> str:
        """Where this machine reaches its internal port, which is this one."""
        return _url(self.internal_host, port)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "LocalSettings":
        """Read the settings; empty counts as unset. Raises `SettingError`, which names the variable."""
        return cls(
            data_dir=Path(environment.get("DATA_DIR") or ".data").expanduser().absolute(),
            host=environment.get("HOST") or "127.0.0.1",
            port=_port(environment.get("PORT") or str(DEFAULT_GATEWAY_PORT)),
            internal_host=environment.get("INTERNAL_HOST") or "127.0.0.1",
            internal_port=_internal_port(environment),
            nats_url=_secret("NATS_URL", environment),
            database_url=_secret("DATABASE_URL", environment),
        )


def _secret(variable: str, environment: Mapping[str, str]) -> str | None:
    try:
        return secret(variable, environment)
    except SettingsError as error:
        raise SettingError(str(error)) from None


def _url(host: str, port: int) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104 - compared, not bound
    return f"http://{reachable.get(host, host)}:{port}"


def _internal_port(environment: Mapping[str, str]) -> int | None:
    has_senders = any(environment.get(name) for name in ("SENDERS", f"SENDERS{FROM_FILE}"))
    asked = environment.get("INTERNAL_PORT") or ("0" if has_senders else "")
    if asked == "0":  # any: a program that takes a free one by itself could not be found
        return USUAL_INTERNAL_PORT
    return _port(asked, "INTERNAL_PORT") if asked else None


def _port(text: str, variable: str = "PORT") -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= HIGHEST_PORT:
        return int(text)
    raise SettingError(f"{variable} is {text!r}: it takes a number from 1 to {HIGHEST_PORT}")
