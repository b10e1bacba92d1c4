"""`python -m collectors`, except that it is killed between the commit of its first flush and the acknowledgement."""

import os
import signal
from typing import Any

from collectors import worker
from collectors.__main__ import main


async def _die(*_arguments: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    vars(worker)["settle"] = _die
    main()
