"""What the shipped rights refuse, each tried by a client that has the role's own key."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from shared.events import REGISTRY
from streams.rights import ADMIN, API_PREFIX, GATEWAY, collector, config, roles
from streams.subjects import Names
from tests.integration.security.rig import SHIPPED, SecuredNats, intruder

FACEBOOK, TIKTOK = collector("facebook"), collector("tiktok")
ROOT = SHIPPED.parents[1]


@pytest.mark.parametrize(
    "subject",
    [
        "$JS.API.CONSUMER.MSG.NEXT.FACEBOOK_EVENTS.collector",
        "$JS.API.CONSUMER.CREATE.FACEBOOK_EVENTS",
        "$JS.API.CONSUMER.CREATE.FACEBOOK_EVENTS.spy",
        "$JS.API.CONSUMER.DURABLE.CREATE.FACEBOOK_EVENTS.spy",
        "$JS.API.CONSUMER.DELETE.FACEBOOK_EVENTS.collector",
        "$JS.API.CONSUMER.PAUSE.FACEBOOK_EVENTS.collector",
        "$JS.ACK.FACEBOOK_EVENTS.collector.1.1.1.1769362274000000000.0",
        "$JS.API.STREAM.CREATE.SPY",
        "$JS.API.STREAM.UPDATE.FACEBOOK_EVENTS",
        "$JS.API.STREAM.DELETE.FACEBOOK_EVENTS",
        "$JS.API.STREAM.PURGE.FACEBOOK_EVENTS",
        "$JS.API.STREAM.MSG.DELETE.FACEBOOK_EVENTS",
        "$JS.API.STREAM.MSG.GET.FACEBOOK_EVENTS",
        "$JS.API.STREAM.SNAPSHOT.FACEBOOK_EVENTS",
        "$JS.API.STREAM.DELETE.RECEIPTS",
        "$JS.API.STREAM.MSG.GET.DEAD_LETTERS",
        "$JS.API.STREAM.PURGE.DEAD_LETTERS",
        "dead_letters.facebook",
        "vitals.facebook.one",
        "_INBOX_floodgate-streams.anything",
    ],
)
async def test_the_gateway_can_neither_consume_events_nor_remove_them_nor_park_one(
    secured: SecuredNats, subject: str
) -> None:
    async with intruder(secured, GATEWAY) as gateway:
        assert await gateway.may_publish("events.facebook")
        for spelled in (subject, subject.replace("$JS.API", API_PREFIX)):
            assert not await gateway.may_publish(spelled)


@pytest.mark.parametrize(
    "subject",
    [
        "$JS.API.CONSUMER.MSG.NEXT.TIKTOK_EVENTS.collector",
        "$JS.ACK.TIKTOK_EVENTS.collector.1.1.1.1769362274000000000.0",
        "$JS.API.DIRECT.GET.TIKTOK_EVENTS",
        "$JS.API.DIRECT.GET.RECEIPTS",
        "$JS.API.DIRECT.GET.DEAD_LETTERS",
        "$JS.API.CONSUMER.CREATE.FACEBOOK_EVENTS",
        "$JS.API.CONSUMER.DELETE.FACEBOOK_EVENTS.collector",
        "$JS.API.STREAM.MSG.DELETE.FACEBOOK_EVENTS",
        "$JS.API.STREAM.PURGE.FACEBOOK_EVENTS",
        "$JS.API.STREAM.DELETE.FACEBOOK_EVENTS",
        "events.facebook",
        "events.facebook.grouped",
        "events.tiktok",
        "receipts.0123456789abcdef0123456789abcdef",
        "dead_letters.tiktok",
    ],
)
async def test_a_collector_can_touch_no_other_stream_and_publish_no_event(secured: SecuredNats, subject: str) -> None:
    async with intruder(secured, FACEBOOK) as facebook:
        assert await facebook.may_publish("dead_letters.facebook")
        for spelled in (subject, subject.replace("$JS.API", API_PREFIX)):
            assert not await facebook.may_publish(spelled)


@pytest.mark.parametrize("role", [GATEWAY, FACEBOOK, TIKTOK, ADMIN])
async def test_no_role_can_listen_to_events_or_to_another_roles_replies(secured: SecuredNats, role: str) -> None:
    async with intruder(secured, role) as client:
        assert await client.may_subscribe(f"_INBOX_{role}.own.*")
        others = {GATEWAY, FACEBOOK, TIKTOK, ADMIN} - {role}
        for subject in (">", "events.>", "_INBOX.>", "$JS.>", "$SYS.>", *(f"_INBOX_{other}.>" for other in others)):
            assert not await client.may_subscribe(subject), subject


async def test_a_refused_request_has_done_nothing(secured: SecuredNats) -> None:
    async with intruder(secured, GATEWAY) as gateway:
        assert not await gateway.may_publish("$JS.API.STREAM.DELETE.FACEBOOK_EVENTS")
    async with intruder(secured, ADMIN) as admin:
        assert b'"error"' not in await admin.ask("$JS.API.STREAM.INFO.FACEBOOK_EVENTS", b"")


@pytest.mark.parametrize("role", [GATEWAY, FACEBOOK])
async def test_an_answer_cannot_be_sent_where_its_asker_may_not_publish(secured: SecuredNats, role: str) -> None:
    """The server does not check reply subjects: within one account, an answer could delete a stream."""
    async with intruder(secured, GATEWAY) as gateway:
        assert await gateway.may_publish("events.facebook", b"")
    async with intruder(secured, role) as client:
        for reply in (
            "$JS.API.STREAM.DELETE.RECEIPTS",
            "$JS.API.STREAM.PURGE.TIKTOK_EVENTS",
            "$JS.API.CONSUMER.DELETE.TIKTOK_EVENTS.collector",
            "dead_letters.tiktok",
            *(["events.tiktok"] if role != GATEWAY else []),
        ):
            assert await client.may_publish("JS.API.DIRECT.GET.FACEBOOK_EVENTS", b'{"seq": 1}', reply)
        own = await client.ask("JS.API.DIRECT.GET.FACEBOOK_EVENTS", b'{"seq": 1}')  # after all of these
        assert own == b""
    async with intruder(secured, ADMIN) as admin:
        for stream in ("TIKTOK_EVENTS", "RECEIPTS", "DEAD_LETTERS"):
            state = json.loads(await admin.ask(f"$JS.API.STREAM.INFO.{stream}", b""))["state"]
            assert (stream, state["messages"]) == (stream, 0)
        assert b"error" not in await admin.ask("$JS.API.CONSUMER.INFO.TIKTOK_EVENTS.collector", b"")


def test_the_shipped_rights_are_those_of_the_program() -> None:
    shipped = (SHIPPED / "rights.conf").read_text()
    assert shipped == config(roles(REGISTRY.sources, Names())), "out of date: run `make reference`"


@pytest.mark.parametrize("prefix", ["", "STAGING_"])
def test_the_server_finds_the_configuration_valid(tmp_path: Path, prefix: str) -> None:
    """With what the commands write, for a prefix too."""
    environment = {"STREAM_PREFIX": prefix}
    rights = subprocess.run(
        [sys.executable, "-m", "streams", "rights"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    subprocess.run(
        [sys.executable, "-m", "streams", "keys", str(tmp_path)],
        cwd=ROOT, env=environment, capture_output=True, check=True,
    )  # fmt: skip
    (tmp_path / "nats.conf").write_text((SHIPPED / "nats.conf").read_text())
    (tmp_path / "rights.conf").write_text(rights.stdout)
    assert f'"$JS.API.STREAM.INFO.{prefix}FACEBOOK_EVENTS"' in rights.stdout
    assert f'"{prefix.lower()}events.facebook"' in rights.stdout
    server = Path(sysconfig.get_path("scripts")) / "nats-server"
    checked = subprocess.run([server, "-t", "-c", tmp_path / "nats.conf"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_every_right_is_explained_to_operators() -> None:
    page = (ROOT / "docs" / "operations.md").read_text().partition("## Rights\n")[2].partition("\n## ")[0]
    for role in roles(["facebook"], Names()):
        for subject in (*role.publish, *role.subscribe):
            plain = subject.replace("FACEBOOK_EVENTS", "S").replace("facebook", "s")
            assert f"`{plain}`" in page, plain
