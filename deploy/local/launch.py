"""Become another program: as another user where asked, and never outliving the one who started it.

Run as a script (`python -I -S launch.py … -- program arguments`), never imported by the stack. It replaces
itself by the program, so the program keeps the process id that the supervisor knows. It exists because the
same steps between fork and exec of a process that has threads are not safe.

- `--death-signal N --parent PID`: the kernel sends N when PID dies (Linux; elsewhere the next start cleans
  up).
- `--uid U --gid G`: drop root for good, with every other group.
- `--pass-folders`: keep the one capability that lets the program walk through folders which are closed to
  its user, for a data folder below a 0700 home (Linux).
"""

import argparse
import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
PARENT_IS_GONE = 125
CANNOT_EXECUTE = 126


def main() -> int:
    """Replace this process by the program. Returns only when that is impossible."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)  # a shell starts background jobs with SIGINT ignored
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--death-signal", type=int, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--pass-folders", action="store_true")
    parser.add_argument("program", nargs="+")
    options = parser.parse_args()
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if options.uid is not None:
            _drop_root(libc, uid=options.uid, gid=options.gid, pass_folders=options.pass_folders)
        if sys.platform == "linux":
            # After the user has changed: changing it clears this.
            _prctl(libc, PR_SET_PDEATHSIG, options.death_signal)
        if os.getppid() != options.parent:
            return PARENT_IS_GONE  # it died before the kernel knew whom to tell
        os.execv(options.program[0], options.program)  # noqa: S606 - starting a program is what this is for
    except OSError as error:
        print(f"cannot start {options.program[0]}: {error.strerror}", file=sys.stderr)
    return CANNOT_EXECUTE


def _drop_root(libc: ctypes.CDLL, *, uid: int, gid: int, pass_folders: bool) -> None:
    # Read before: afterwards not even our own standard library may be within reach.
    capability = _walking_capability() if pass_folders else None
    if capability is not None:
        _prctl(libc, PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if capability is not None:
        _keep_capability(libc, capability)


def _walking_capability() -> int:
    """The smallest capability of ours that passes closed folders: containers often have only the larger."""
    status = Path("/proc/self/status").read_bytes()
    permitted = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith(b"CapPrm"))
    return CAP_DAC_READ_SEARCH if permitted >> CAP_DAC_READ_SEARCH & 1 else CAP_DAC_OVERRIDE


def _keep_capability(libc: ctypes.CDLL, capability: int) -> None:
    """Give up every capability but this one, and hand it on to the program (capabilities(7), "ambient")."""
    bit = 1 << capability
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)  # effective, permitted, inheritable: low words first
    if libc.capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    _prctl(libc, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def _prctl(libc: ctypes.CDLL, option: int, *arguments: int) -> None:
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    if libc.prctl(option, *padded) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    raise SystemExit(main())
