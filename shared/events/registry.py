"""The platforms that Floodgate knows. A new one is a file of models beside this one and an entry here."""

from collections.abc import Iterator
from typing import Final

from shared.events import facebook, tiktok
from shared.events.platform import Platform


class Registry:
    """Platforms by source. Raises ValueError for a source that is entered twice."""

    def __init__(self, *platforms: Platform) -> None:
        self._platforms = {platform.source: platform for platform in platforms}
        if len(self._platforms) != len(platforms):
            raise ValueError("a source is registered twice")

    @property
    def sources(self) -> tuple[str, ...]:
        """Their names, in the order of registration."""
        return tuple(self._platforms)

    def __getitem__(self, source: str) -> Platform:
        return self._platforms[source]

    def __contains__(self, source: object) -> bool:
        return source in self._platforms

    def __iter__(self) -> Iterator[Platform]:
        return iter(self._platforms.values())


REGISTRY: Final = Registry(
    facebook.PLATFORM,
    tiktok.PLATFORM,
)
