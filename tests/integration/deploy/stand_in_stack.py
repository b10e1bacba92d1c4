"""`python -m deploy.local run` with stand-ins for the product's programs: servers that only say that they are there.

What they do on the way is told by environment variables, so that a test can make one of them misbehave.
"""

import os
import sys
from pathlib import Path

from deploy.local.__main__ import run
from deploy.local.errors import StackError
from deploy.local.settings import LocalSettings
from deploy.local.stack import Programs

STAND_IN = Path(__file__).with_name("stand_in_program.py")


def main() -> int:
    """Run the stack. Exits as `python -m deploy.local run` does."""

    def program(role: str) -> tuple[str, ...]:
        return (sys.executable, str(STAND_IN), role)

    programs = Programs(
        gateway=program("gateway"),
        collector=program("collector"),
        apply_streams=program("apply-streams"),
        migrate=program("migrate"),
    )
    try:
        return run(LocalSettings.from_environment(os.environ), programs=programs)
    except StackError as error:
        sys.stderr.write(f"floodgate: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
