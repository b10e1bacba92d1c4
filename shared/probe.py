"""`python -m shared.probe URL`: is a service up? For health checks in images, which have no curl.

Invariant: exit 0 says that the URL answered 200, and nothing else does; any other end is one line and exit 1.
Standard library only, and little of it: it starts anew every few seconds.
"""

import sys
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

TIMEOUT_S = 3.0
SHOWN_BYTES = 500
USAGE = "takes one URL, like http://127.0.0.1:3000/health/ready\n"


def main(arguments: list[str]) -> int:
    """Ask once, and return the exit code: 2 for a wrong command line. Blocks for `TIMEOUT_S` a step at most."""
    if arguments == ["--help"]:
        sys.stdout.write(USAGE)
        return 0
    try:
        (url,) = arguments
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port, parts = None, 0, urlsplit("")
    if parts.scheme != "http" or host is None:
        sys.stderr.write(USAGE)
        return 2
    connection = HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        body = answer.read(SHOWN_BYTES).decode("utf-8", "replace")
    except (OSError, HTTPException) as error:
        sys.stderr.write(f"no answer: {error}\n")
        return 1
    finally:
        connection.close()
    sys.stdout.write(f"{answer.status} {body}\n")
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
