"""What a fetch over several streams holds is the worker's to keep alive and to release."""

from typing import Any

from tests.integration.collectors.rig import Rig


class Held:
    """A delivery that counts what is sent about it."""

    settled = False

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def in_progress(self) -> bool:
        self.sent.append("in progress")
        return True

    async def nak(self, delay_s: float) -> bool:
        self.sent.append(f"nak {delay_s:g}")
        return True


class FanInThatHolds:
    """Has fetched something that was never asked for again."""

    def __init__(self, *held: Held) -> None:
        self.held: list[Any] = list(held)

    async def close(self) -> list[Any]:
        held, self.held = self.held, []
        return held


async def test_what_a_fetch_holds_is_kept_alive_and_released_in_the_end() -> None:
    collector = Rig("nats://127.0.0.1:1", "postgresql://nobody@127.0.0.1:1/none").make_collector()
    worker, delivery = collector._worker, Held()
    worker._deliveries = FanInThatHolds(delivery)  # type: ignore[assignment]  # all that is asked of it here

    await worker._keep_in_hand()
    assert delivery.sent == ["in progress"]

    collector._shutdown.soft.set()
    await worker.run()
    assert delivery.sent[-1] == "nak 0"
