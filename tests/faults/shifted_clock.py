"""Run a program of the product with a wall clock that jumps: `shifted_clock.py FILE PACKAGE [arguments]`.

FILE holds the seconds that the clock is off by, read anew at every look at the clock, so a change of it is a jump.
Only the wall clock jumps (time.time, datetime.now), as on a machine whose clock is set; the monotonic one does not.
"""

import runpy
import sys
import time
from datetime import datetime, timedelta, tzinfo
from importlib import import_module
from pathlib import Path
from typing import Final

PACKAGES: Final = ("gateway", "collectors", "streams", "shared")


def main() -> None:
    """Shift the clocks, and become the program."""
    file, package = Path(sys.argv[1]), sys.argv[2]
    sys.path[0] = str(Path.cwd())
    real_time = time.time

    def shift_s() -> float:
        text = file.read_text(encoding="ascii").strip()
        return float(text) if text else 0.0  # it is just being written

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain datetime on purpose
            return datetime.now(tz) + timedelta(seconds=shift_s())

    import_module(f"{package}.app")
    # The product's modules alone: pydantic and msgspec know the real class only, which stays what values are of.
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in PACKAGES and getattr(module, "datetime", None) is datetime:
            module.datetime = Shifted  # type: ignore[attr-defined]  # it has one: that was just asked
    time.time = lambda: real_time() + shift_s()
    sys.argv = [package, *sys.argv[3:]]
    runpy.run_module(package, run_name="__main__", alter_sys=False)


if __name__ == "__main__":
    main()
