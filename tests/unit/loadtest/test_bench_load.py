"""The load program against the fake gateway, its bodies, and its HTTP."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from loadtest.bench import bodies, http11
from loadtest.bench.http11 import BadAnswer
from loadtest.bench.load_process import load_process
from loadtest.errors import CannotRun
from loadtest.generator import Plan

PLAN = Plan(total=300, batch=100, invalid_share=0.02, duplicates_share=0.01, seed=4)


def test_the_file_holds_the_bodies_that_the_index_names(tmp_path: Path) -> None:
    made = bodies.write(tmp_path / "bodies", PLAN)
    content = made.path.read_bytes()
    parts = [content[body.offset : body.offset + body.size_bytes] for body in made.index]
    assert b"".join(parts) == content
    assert [part.count(b'"eventType"') for part in parts] == [100, 100, 100]
    assert (made.valid, sum(body.repeated for body in made.index)) == (294, 3)
    assert len({body.correlation_id for body in made.index}) == 3
    assert bodies.Bodies.load(made.path) == made


def test_a_body_has_the_headers_that_were_made_from_it(tmp_path: Path) -> None:
    made = bodies.write(tmp_path / "bodies", PLAN, sign=lambda body: {"x-length": str(len(body))})
    assert [body.headers for body in made.index] == [{"x-length": str(body.size_bytes)} for body in made.index]
    assert bodies.Bodies.load(made.path) == made
    assert "x-length" not in repr(made.index)
    head = http11.head("http://h:1/path?sender=a", size_bytes=1, headers={"Authorization": "Bearer k"})
    assert head.startswith(b"POST /path?sender=a HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer k\r\n" in head


def test_single_events_are_a_body_each(tmp_path: Path) -> None:
    made = bodies.write(tmp_path / "bodies", Plan(total=20, batch=10, seed=4), single=True)
    content = made.path.read_bytes()
    events = [orjson.loads(content[body.offset : body.offset + body.size_bytes]) for body in made.index]
    assert len({event["eventId"] for event in events}) == 20
    assert made.valid == 20


def test_two_seeds_have_no_event_in_common(tmp_path: Path) -> None:
    one = bodies.write(tmp_path / "one", Plan(total=50, batch=50, seed=1)).path.read_bytes()
    two = bodies.write(tmp_path / "two", Plan(total=50, batch=50, seed=2)).path.read_bytes()
    ids = [{event["eventId"] for event in orjson.loads(body)} for body in (one, two)]
    assert not ids[0] & ids[1]


def test_an_answer_is_read_to_its_last_byte_and_no_further() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: x\r\nContent-Length: 2\r\n\r\n{}"
    for cut in range(len(answer)):
        assert http11.parse(answer[:cut]) is None
    assert http11.parse(answer + b"HTTP/1.1 5") == (http11.Answer(200, b"{}"), len(answer))


def test_an_answer_without_a_length_is_refused() -> None:
    with pytest.raises(BadAnswer, match="Content-Length"):
        http11.parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


async def test_every_body_is_sent_once_and_its_answer_told(gateway: Any, tmp_path: Path) -> None:
    made = bodies.write(tmp_path / "bodies", PLAN)
    async with load_process(made, f"{gateway.url}/webhook/events/bulk") as load:
        first = await load.bulk(1, connections=1)
        rest = await load.bulk(2, connections=2)
    assert sorted(gateway.correlation_ids) == sorted(body.correlation_id for body in made.index)
    assert sum(len(body) for body in gateway.bodies) == made.path.stat().st_size
    answers = first["requests"] + rest["requests"]
    assert sum(answer["processed"] for answer in answers) == made.valid
    assert all(answer["sentAt"] < answer["answeredAt"] for answer in answers)
    assert first["cpuSeconds"] > 0


async def test_requests_with_an_interval_are_sent_no_sooner(gateway: Any, tmp_path: Path) -> None:
    made = bodies.write(tmp_path / "bodies", PLAN)
    async with load_process(made, f"{gateway.url}/webhook/events/bulk") as load:
        answers = (await load.bulk(3, connections=3, interval_s=0.05))["requests"]
    assert all(answer["sentAt"] >= answer["dueAt"] for answer in answers)
    assert answers[2]["dueAt"] - answers[0]["dueAt"] == pytest.approx(0.1)


async def test_a_request_that_is_not_answered_200_ends_the_phase(gateway: Any, tmp_path: Path) -> None:
    gateway.script.extend([200, 503])
    made = bodies.write(tmp_path / "bodies", PLAN)
    async with load_process(made, f"{gateway.url}/webhook/events/bulk") as load:
        with pytest.raises(CannotRun, match="1 of 3 requests failed, the first with: status 503"):
            await load.bulk(3, connections=1)


async def test_single_events_go_out_on_every_connection_until_none_is_left(gateway: Any, tmp_path: Path) -> None:
    made = bodies.write(tmp_path / "bodies", Plan(total=1, batch=1, seed=4))
    # The fake knows bulks only and wants a correlation id, so it answers a single event with an error.
    assert made.index[0].events == 1
    made = bodies.write(tmp_path / "singles", Plan(total=12, batch=12, seed=5), single=True)
    async with load_process(made, f"{gateway.url}/health/ready") as load:
        with pytest.raises(CannotRun, match=r"other statuses than 200: \{'405': 12\}"):
            await load.single(30, connections=4)


@pytest.fixture
async def forgetful() -> AsyncIterator[str]:
    """The address of a server that answers the first request of each connection, and hangs up on the second."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for is_answered in (True, False):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
            await reader.readexactly(int(length.split(b":")[1]))
            if is_answered:
                writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\n{"processed": 1,"failed": 0}')
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhook/events/bulk"


async def test_a_request_that_met_the_end_of_a_kept_connection_is_sent_again_where_it_may(
    forgetful: str, tmp_path: Path
) -> None:
    made = bodies.write(tmp_path / "bodies", PLAN)
    async with load_process(made, forgetful) as load:
        answers = (await load.bulk(2, connections=1, again=True))["requests"]
    assert [(answer["status"], answer.get("again", False)) for answer in answers] == [(200, False), (200, True)]


async def test_else_it_is_an_error(forgetful: str, tmp_path: Path) -> None:
    made = bodies.write(tmp_path / "bodies", PLAN)
    async with load_process(made, forgetful) as load:
        with pytest.raises(CannotRun, match=r"1 of 2 requests failed, .* closed before an answer"):
            await load.bulk(2, connections=1)


def test_the_end_of_an_idle_connection_is_seen() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        assert not http11.is_closed(ours)
        theirs.close()
        assert http11.is_closed(ours)
