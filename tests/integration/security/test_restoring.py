"""A collector whose consumer is gone, and which may not make one: it waits for the admin and goes on."""

import signal

from streams.definitions import definitions
from streams.provision import provision
from streams.rights import ADMIN, GATEWAY, collector
from streams.settings import StreamSettings
from streams.subjects import COLLECTOR, Names
from tests.integration.collectors.program import ended, says, started
from tests.integration.collectors.rig import until
from tests.integration.security.database import RolesPostgres
from tests.integration.security.rig import SecuredNats, connected
from tests.unit.collectors.samples import encoded, event, headers


async def test_a_collector_without_the_right_to_create_waits_until_its_consumer_is_back(
    secured: SecuredNats, database: RolesPostgres
) -> None:
    stream = Names().stream("facebook")
    environment = secured.environment(collector("facebook")) | {
        "DATABASE_URL": database.url_as("floodgate_collector"), "OPS_PORT": "0", "FLUSH_AGE": "20",
        "PROVISION_ON_START": "false", "MIGRATE_ON_START": "false",
    }  # fmt: skip
    async with (
        connected(secured, ADMIN) as admin,
        connected(secured, GATEWAY) as gateway,
        started("-m", "collectors", "--source", "facebook", environment=environment) as process,
    ):
        await says(process, "collector_started")
        await admin.jetstream.delete_consumer(stream, COLLECTOR)
        await says(process, "nats_right_missing")
        await provision(admin, definitions(["facebook"], StreamSettings()))
        about = headers("after", correlation_id="restored").encode()
        await gateway.jetstream.publish("events.facebook", encoded(event("after")), headers=about)

        async def stored() -> bool:
            sql = "SELECT 1 FROM events WHERE event_id = 'after'"
            return bool(await database.execute("floodgate_collector", sql))

        await until(stored)
        assert (await ended(process, signal.SIGTERM)).code == 0
