"""A further platform costs one file of models and one entry in the registry, and nothing else."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.stack import ROOT, array, stack

MODELS = '''"""Pinboard's events: a platform that is nowhere else named."""

from typing import Literal

from shared.events.platform import DemographicsPaths, Envelope, Platform, RevenuePaths
from shared.events.types import Amount, Identifier, Model, Number


class User(Model):
    user_id: Identifier
    handle: str
    followers: Number


class Engagement(Model):
    board: str
    price: Amount | None


class Data(Model):
    user: User
    engagement: Engagement


class Top(Envelope):
    source: Literal["pinboard"]
    funnel_stage: Literal["top"]
    event_type: Literal["pin", "repin"]
    data: Data


PLATFORM = Platform(
    source="pinboard",
    models=(Top,),
    demographics=DemographicsPaths(name="user.handle", followers="user.followers"),
    revenue=RevenuePaths(amount="engagement.price", item="engagement.board"),
)
'''


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The sources with the new platform in them."""
    folder = tmp_path / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / "shared/events/pinboard.py").write_text(MODELS, encoding="utf-8")
    registry = folder / "shared/events/registry.py"
    text = registry.read_text(encoding="utf-8")
    # One entry: what it is imported as, and where it is listed.
    changed = text.replace("import facebook, tiktok", "import facebook, pinboard, tiktok").replace(
        "    tiktok.PLATFORM,\n", "    tiktok.PLATFORM,\n    pinboard.PLATFORM,\n"
    )
    assert changed.count("pinboard") == 2
    registry.write_text(changed, encoding="utf-8")
    return folder


@pytest.mark.usefixtures("usual_ports")
async def test_a_third_platform_goes_from_the_webhook_to_the_tables_and_the_receipt(copy: Path, tmp_path: Path) -> None:
    events = [
        {
            "eventId": f"pin-{at}", "timestamp": "2026-01-25T17:31:13.660Z", "source": "pinboard", "funnelStage": "top",
            "eventType": "pin",
            "data": {
                "user": {"userId": f"u-{at}", "handle": "Ada", "followers": 7},
                "engagement": {"board": "Lamps", "price": "12.30" if at % 2 else None},
            },
        }
        for at in range(250)
    ]  # fmt: skip
    wrong = events[0] | {"eventType": "like"}

    async with stack(tmp_path / "data", folder=copy) as running:
        assert [one["source"] for one in running.status["collectors"]] == ["facebook", "tiktok", "pinboard"]
        status, answer = await running.post(array([*events, wrong]), correlation_id="pins")
        assert (status, answer["processed"], answer["failed"]) == (200, 250, 1)
        receipt = await running.receipt("pins", accepted=250)
        assert receipt["bySource"]["pinboard"]["stored"] == 250
        assert await running.fetch("SELECT source, count(*) FROM events GROUP BY 1") == [("pinboard", 250)]
        assert await running.fetch("SELECT DISTINCT name, followers FROM demographics") == [("Ada", 7.0)]
        found = await running.fetch("SELECT item, count(*), sum(amount)::text FROM revenue GROUP BY 1")
        assert found == [("Lamps", 125, "1537.50")]
        assert await running.stop() == 0, running.said()
