"""One server with the shipped configuration and its streams, and one database with the shipped roles, a session."""

from collections.abc import AsyncIterator, Iterator

import pytest

from shared.events import REGISTRY
from streams.definitions import definitions
from streams.provision import provision
from streams.rights import ADMIN
from streams.settings import StreamSettings
from tests.integration.security.database import RolesPostgres
from tests.integration.security.rig import SecuredNats, connected


@pytest.fixture(scope="session")
def secured_server() -> Iterator[SecuredNats]:
    """Shared, so leave it running."""
    server = SecuredNats()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
async def secured(secured_server: SecuredNats) -> AsyncIterator[SecuredNats]:
    """With its streams, new for this test, made by the admin as a release would.

    One more stream is always there: with an account's last one nats-server takes the account's folder away, and a
    stream that is made meanwhile meets "error creating store for stream" (10049).
    """
    wanted = definitions(REGISTRY.sources, StreamSettings())
    async with connected(secured_server, ADMIN) as admin:
        await admin.jetstream.add_stream(name="STAYS", subjects=["stays"])
        await provision(admin, wanted)
        yield secured_server
        for definition in wanted:
            await admin.jetstream.delete_stream(definition.name)


@pytest.fixture(scope="session")
def database() -> Iterator[RolesPostgres]:
    """With the roles and the tables."""
    server = RolesPostgres()
    try:
        server.start()
        server.make_roles()
        yield server
    finally:
        server.kill()  # its last checkpoint would take seconds, and nobody reads the data again
        server.close()
