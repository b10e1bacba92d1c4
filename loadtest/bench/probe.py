"""`python -m loadtest.bench.probe URL EVERY_S`: asks a URL again and again, in a process of its own, until stdin ends.

Invariant: an ask is due every EVERY_S seconds whether those before it are answered or not, and its clock runs from
then: one long wait must not hide the others that a sender would have met. The process does nothing else, so what it
measures is the server and the machine, not itself.

It says `ready` once it is connected, and at the end, as one line of JSON, [when it was due, seconds from then to the
answer] of each ask, by CLOCK_MONOTONIC.
"""

import gc
import json
import selectors
import socket
import sys
import time
from collections import deque
from typing import Final

from loadtest.bench import http11

_CONNECTIONS: Final = 16
"""Kept open: a full accept queue, which makes clients wait a second, is not measured."""
_ANSWER_BYTES: Final = 1 << 16
_OK: Final = 200


def main() -> int:
    """Asks until stdin ends and everything is answered. 1 where an answer is not 200, or does not come."""
    url, every_s = sys.argv[1], float(sys.argv[2])
    connections = [http11.connect(url) for _ in range(_CONNECTIONS)]
    gc.freeze()
    gc.disable()
    print("ready", flush=True)
    try:
        results = _ask(url, every_s, connections)
    except (OSError, http11.BadAnswer) as error:
        print(f"{url}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(results))
    return 0


def _ask(url: str, every_s: float, connections: list[socket.socket]) -> list[tuple[float, float]]:
    question = http11.get(url)
    selector = selectors.DefaultSelector()
    stdin = selector.register(sys.stdin, selectors.EVENT_READ)
    for one in connections:
        selector.register(one, selectors.EVENT_READ, bytearray())
    free = list(connections)
    asked_for: dict[int, float] = {}  # a connection's number → when its ask was due
    late: deque[float] = deque()
    results: list[tuple[float, float]] = []
    due, is_asking = time.monotonic(), True
    while is_asking or late or asked_for:
        wait_s = max(0.0, due - time.monotonic()) if is_asking else http11.TIMEOUT_S
        ready = selector.select(wait_s)
        if not (ready or is_asking):
            raise http11.BadAnswer(f"no answer within {http11.TIMEOUT_S:g} s")
        for key, _ in ready:
            if key is stdin:
                selector.unregister(sys.stdin)
                is_asking = False
                continue
            connection: socket.socket = key.fileobj  # type: ignore[assignment]  # what was registered: a socket
            if _is_answered(connection, key.data):
                began = asked_for.pop(key.fd)
                results.append((began, time.monotonic() - began))
                free.append(connection)
        while is_asking and due <= time.monotonic():
            late.append(due)
            due += every_s
        while late and free:
            connection = free.pop(0)
            asked_for[connection.fileno()] = late.popleft()
            connection.sendall(question)
    return results


def _is_answered(connection: socket.socket, data: bytearray) -> bool:
    piece = connection.recv(_ANSWER_BYTES)
    if not piece:
        raise http11.BadAnswer("the connection was closed without an answer")
    data += piece
    if (parsed := http11.parse(data)) is None:
        return False
    if parsed[0].status != _OK:
        raise http11.BadAnswer(f"status {parsed[0].status}")
    data.clear()
    return True


if __name__ == "__main__":
    sys.exit(main())
