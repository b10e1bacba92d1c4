"""A rig a test."""

from collections.abc import AsyncIterator

import pytest

from collectors import worker
from tests.integration.collectors.rig import Rig, rig


@pytest.fixture(autouse=True)
def stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector without work sees a signal to stop after one wait for a message: keep that short here."""
    monkeypatch.setattr(worker, "MAX_WAIT_S", 0.05)


@pytest.fixture
async def collecting(nats_url: str, database_url: str) -> AsyncIterator[Rig]:
    """Streams and tables of this test's own."""
    async with rig(nats_url, database_url) as made:
        yield made
