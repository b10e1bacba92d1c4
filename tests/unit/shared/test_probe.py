"""The health check of the image: exit 0 for a 200, and for nothing else."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shared import probe


class Answers(BaseHTTPRequestHandler):
    """Answers with the status that the path names."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"words")

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (204, 1), (302, 1), (404, 1), (503, 1)])
def test_only_a_200_is_healthy(url: str, status: int, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main([f"{url}/{status}"]) == code
    assert capsys.readouterr().out.startswith(str(status))


def test_nobody_there_is_unhealthy(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    taken = int(url.rpartition(":")[2])
    assert probe.main([f"http://127.0.0.2:{taken}/200"]) == 1
    assert capsys.readouterr().err.startswith("no answer: ")


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["https://127.0.0.1/"], ["http://"], ["http://host:port/"]])
def test_a_wrong_command_line_is_told_apart(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main(arguments) == 2
    assert "takes one URL" in capsys.readouterr().err


def test_it_says_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main(["--help"]) == 0
    assert "takes one URL" in capsys.readouterr().out
