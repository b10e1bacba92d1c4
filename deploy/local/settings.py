"""Settings of the local stack, read once from the environment in `__main__`.

The programs of the stack read their own settings: what stands here is only what the stack itself decides by.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import SettingError
from deploy.local.ports import HIGHEST_PORT
from shared.errors import SettingsError
from shared.settings import secret

DEFAULT_GATEWAY_PORT = 3000


@dataclass(frozen=True, kw_only=True)
class LocalSettings:
    """What `python -m deploy.local` takes from the environment."""

    data_dir: Path
    """Absolute; where both servers keep their data."""
    host: str
    port: int
    """The gateway's. The only port that never moves: senders have it in their configuration."""
    nats_url: str | None
    """Somebody else's server instead of the embedded one."""
    database_url: str | None

    @property
    def gateway_url(self) -> str:
        """Where this machine reaches the gateway, also when it is bound to every address."""
        reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104 - compared, not bound
        return f"http://{reachable.get(self.host, self.host)}:{self.port}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "LocalSettings":
        """Read the settings; empty counts as unset. Raises `SettingError`, which names the variable."""
        return cls(
            data_dir=Path(environment.get("DATA_DIR") or ".data").expanduser().absolute(),
            host=environment.get("HOST") or "127.0.0.1",
            port=_port(environment.get("PORT") or str(DEFAULT_GATEWAY_PORT)),
            nats_url=_secret("NATS_URL", environment),
            database_url=_secret("DATABASE_URL", environment),
        )


def _secret(variable: str, environment: Mapping[str, str]) -> str | None:
    try:
        return secret(variable, environment)
    except SettingsError as error:
        raise SettingError(str(error)) from None


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= HIGHEST_PORT:
        return int(text)
    raise SettingError(f"PORT is {text!r}: it takes a number from 1 to {HIGHEST_PORT}")
