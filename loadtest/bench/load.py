"""`python -m loadtest.bench.load BODIES URL`: the load, in a process of its own.

Invariant: when it says `ready`, everything it will send is in memory; from then on it only sends, receives and looks
at the clock (CLOCK_MONOTONIC, which all processes of a machine share).

It is led over stdin, a JSON object a line, and answers each with one on stdout:
- `{"run": "bulk", "requests": N, "connections": C, "interval_s": S, "again": B}`: the next N bodies, on C connections,
  each sent as soon as one is free, or, with an interval, not before its turn. With `again`, it looks whether a kept
  connection was closed, and a request that meets the end of one all the same is sent once more on a new one, and
  counted: a server may close such a connection at any time, and that it did is no answer (RFC 9112, 9.3.1 and 9.6);
- `{"run": "single", "seconds": S, "connections": C}`: one body a request on C connections, as fast as they are
  answered.
"""

import gc
import json
import mmap
import resource
import selectors
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from loadtest.bench import http11
from loadtest.bench.bodies import Bodies

_STARTS_AFTER_S: Final = 0.05
_CHUNK_BYTES: Final = 1 << 16


def main() -> int:
    """Leads until stdin ends."""
    bodies, url = Bodies.load(Path(sys.argv[1])), sys.argv[2]
    with bodies.path.open("rb") as file:
        content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    load = _Load(bodies, content, url)
    gc.freeze()
    gc.disable()
    _say({"ready": len(bodies.index)})
    for line in sys.stdin:
        _say(_measured(load, json.loads(line)))
    return 0


def _measured(load: "_Load", order: dict[str, Any]) -> dict[str, Any]:
    before, began = time.process_time(), time.monotonic()
    result = load.single(order) if order["run"] == "single" else load.bulk(order)
    return result | {
        "cpuSeconds": time.process_time() - before,
        "seconds": time.monotonic() - began,
        "peakRssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


class _Load:
    def __init__(self, bodies: Bodies, content: memoryview, url: str) -> None:
        self._url = url
        self._requests: list[tuple[bytes, memoryview, str]] = []
        for body in bodies.index:
            part = content[body.offset : body.offset + body.size_bytes]
            sum(part[:: mmap.PAGESIZE])  # reads every page, so that none is fetched while the clock runs
            # One event has no correlation id of its own, as its senders give none; and one write sends it.
            named = None if bodies.single else body.correlation_id
            head = http11.head(url, size_bytes=body.size_bytes, correlation_id=named, headers=body.headers)
            if bodies.single:
                self._requests.append((head + bytes(part), memoryview(b""), ""))
            else:
                self._requests.append((head, part, body.correlation_id))
        self._next = 0

    def bulk(self, order: dict[str, Any]) -> dict[str, Any]:
        """Sends the next bodies. Of each: when it was due, sent and answered, and what the answer said."""
        mine = self._requests[self._next : self._next + order["requests"]]
        self._next += len(mine)
        interval_s: float = order.get("interval_s") or 0.0
        start = time.monotonic() + _STARTS_AFTER_S
        turns = iter([(start + at * interval_s, request) for at, request in enumerate(mine)])
        results: list[dict[str, Any]] = []
        lock = threading.Lock()
        threads = [
            threading.Thread(target=self._send_in_turn, args=(turns, lock, results, order.get("again", False)))
            for _ in range(order["connections"])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        results.sort(key=lambda result: result["sentAt"])
        return {"requests": results}

    def _send_in_turn(
        self,
        turns: Iterator[tuple[float, tuple[bytes, memoryview, str]]],
        lock: threading.Lock,
        results: list[dict[str, Any]],
        may_send_again: bool,
    ) -> None:
        connection: socket.socket | None = None
        while True:
            with lock:
                due_at, (head, body, correlation_id) = next(turns, (0.0, (b"", memoryview(b""), "")))
            if not head:
                break
            result: dict[str, Any] = {"correlationId": correlation_id, "dueAt": due_at}
            try:
                time.sleep(max(0.0, due_at - time.monotonic()))
                if connection is not None and may_send_again and http11.is_closed(connection):
                    connection.close()
                    connection = None
                is_kept = connection is not None
                connection = connection or http11.connect(self._url)
                result["sentAt"] = time.monotonic()
                try:
                    answer = http11.ask(connection, head, body)
                except http11.ClosedWithoutAnswer:
                    if not (is_kept and may_send_again):
                        raise
                    result["again"] = True
                    connection.close()
                    connection = http11.connect(self._url)
                    answer = http11.ask(connection, head, body)
                result["answeredAt"] = time.monotonic()
                result |= {"status": answer.status, **_counts(answer.body)}
            except (OSError, http11.BadAnswer) as error:
                result.setdefault("sentAt", time.monotonic())
                result |= {"status": 0, "error": f"{type(error).__name__}: {error}"}
                connection = None
            results.append(result)
        if connection is not None:
            connection.close()

    def single(self, order: dict[str, Any]) -> dict[str, Any]:
        """One thread, one selector: a Python client with a task a connection would cost more than the gateway."""
        connections = [http11.connect(self._url) for _ in range(order["connections"])]
        waiting = selectors.DefaultSelector()
        sent_at = dict.fromkeys((one.fileno() for one in connections), 0.0)
        latencies_s: list[float] = []
        statuses: dict[int, int] = {}
        began = time.monotonic()
        ends = began + order["seconds"]
        last = began
        for connection in connections:
            waiting.register(connection, selectors.EVENT_READ, bytearray())
            self._send_next(connection, sent_at)
        in_flight = len(connections)
        while in_flight:
            for key, _ in waiting.select(http11.TIMEOUT_S):
                connection = key.fileobj  # type: ignore[assignment]  # what was registered: a socket
                data: bytearray = key.data
                piece = connection.recv(_CHUNK_BYTES)
                last = time.monotonic()
                data += piece
                parsed = http11.parse(data)
                if parsed is None and piece:
                    continue
                in_flight -= 1
                if parsed is None:
                    statuses[0] = statuses.get(0, 0) + 1
                    waiting.unregister(connection)
                    continue
                latencies_s.append(last - sent_at[key.fd])
                statuses[parsed[0].status] = statuses.get(parsed[0].status, 0) + 1
                del data[: parsed[1]]
                if last < ends and self._send_next(connection, sent_at):
                    in_flight += 1
        for connection in connections:
            connection.close()
        return {"latencies": latencies_s, "statuses": statuses, "spanSeconds": last - began}

    def _send_next(self, connection: socket.socket, sent_at: dict[int, float]) -> bool:
        """Sends the next body; False when there is none left."""
        if self._next >= len(self._requests):
            return False
        request = self._requests[self._next][0]
        self._next += 1
        sent_at[connection.fileno()] = time.monotonic()
        connection.sendall(request)
        return True


def _counts(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return {name: content.get(name) for name in ("processed", "failed")} if isinstance(content, dict) else {}


def _say(content: dict[str, Any]) -> None:
    print(json.dumps(content), flush=True)


if __name__ == "__main__":
    sys.exit(main())
