"""`python -m tests.fuzz`: mutated requests through a real gateway. Exits 1 where one answer is not as documented."""

import argparse
import asyncio
import sys
import time

from tests.fuzz.run import run
from tests.servers import NatsServer

CASES = 100_000
SAY_EVERY = 10_000


def main() -> None:
    """Run it; a few minutes for the usual number of cases."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="of all cases; printed, so that a run can be repeated")
    parser.add_argument("--first", type=int, default=0, help="the number of the first case (default: %(default)s)")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else int(time.time())
    print(f"seed {seed}: cases {arguments.first:,} to {arguments.first + arguments.cases - 1:,}", flush=True)
    said = [0]

    def progress(done: int) -> None:
        if done // SAY_EVERY > said[-1] // SAY_EVERY:
            said.append(done)
            print(f"{done:,} cases", flush=True)

    server = NatsServer()
    try:
        result = asyncio.run(
            run(server.start().url, cases=arguments.cases, seed=seed, first=arguments.first, progress=progress)
        )
    finally:
        server.close()
    print(*result.lines(), sep="\n")
    sys.exit(1 if result.failures else 0)


if __name__ == "__main__":
    main()
