"""`python -m deploy.checks [NAME …]`: check the deployment files, a line each; exit 1 where one is broken."""

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Final

from deploy.checks import compose, helm, image, nats, nginx, prometheus, workflow
from deploy.checks.check import ROOT, Check, MissingTool

ALL: Final[tuple[Check, ...]] = (
    *compose.CHECKS,
    *image.CHECKS,
    *nginx.CHECKS,
    *nats.CHECKS,
    *prometheus.CHECKS,
    *workflow.CHECKS,
    *helm.CHECKS,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named checks, or all, and return the exit code. A tool that is missing is a failure, too."""
    names = [check.name for check in ALL]
    parser = argparse.ArgumentParser(
        prog="deploy.checks",
        description="Checks the files in deploy/.",
        epilog="checks:\n" + "\n".join(f"  {check.name:<22}{check.about}" for check in ALL),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="checks to run (default: all)")
    wanted = parser.parse_args(arguments).names
    if unknown := [name for name in wanted if name not in names]:
        parser.error(f"no check is called {', '.join(unknown)}; there are {', '.join(names)}")
    return run(check for check in ALL if not wanted or check.name in wanted)


def run(checks: Iterable[Check]) -> int:
    """Run these, say how each ended, and return the exit code."""
    failed = 0
    for check in checks:
        started = time.monotonic()
        try:
            wrong = list(check.find_wrong(ROOT))
        except MissingTool as missing:
            wrong = [str(missing)]
        failed += bool(wrong)
        print(f"{'FAILED' if wrong else 'ok':<7}{check.name:<22}{time.monotonic() - started:5.1f} s", flush=True)
        for line in wrong:
            print(f"       {line}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
