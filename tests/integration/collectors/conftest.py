"""A rig a test."""

from collections.abc import AsyncIterator

import pytest

from collectors import worker
from collectors.store import Store
from tests.integration.collectors.rig import Rig, rig
from tests.integration.collectors.stores import a_store


@pytest.fixture(autouse=True)
def stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector without work sees a signal to stop after one wait for a message: keep that short here."""
    monkeypatch.setattr(worker, "MAX_WAIT_S", 0.05)


@pytest.fixture
async def collecting(nats_url: str, database_url: str) -> AsyncIterator[Rig]:
    """Streams and tables of this test's own."""
    async with rig(nats_url, database_url) as made:
        yield made


@pytest.fixture
async def store(collecting: Rig) -> AsyncIterator[Store]:
    """The tables' writer."""
    async with a_store(collecting) as made:
        yield made
