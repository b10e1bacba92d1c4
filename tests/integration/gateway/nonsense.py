"""What a gateway that is sent nonsense is held to; and how little it takes, so that too much is quickly sent."""

from typing import TYPE_CHECKING, Any, Final

from tests.integration.gateway.events import text, tiktok

if TYPE_CHECKING:
    from tests.integration.gateway.conftest import Answer, Running

MAX_EVENTS: Final = 50
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
BULK, SINGLE = "/webhook/events/bulk", "/webhook/events"


async def assert_still_serves(gateway: "Running") -> None:
    """Holds the gateway to take the next valid event."""
    event = tiktok()
    answer = await gateway.post(text(event), path=SINGLE)
    assert (answer.status, answer.json["processed"]) == (200, 1)
    assert gateway.in_flight() == (0, 0)


def assert_problem(answer: "Answer", status: int) -> dict[str, Any]:
    """Holds an answer to be a problem of this status; its document."""
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem: dict[str, Any] = answer.json
    assert problem["status"] == status
    assert problem["correlationId"] == answer.correlation_id
    assert problem["title"]
    assert problem["detail"]
    return problem
