"""How much load: the suite's short form, or with OVERLOAD=full that of `make test-overload`."""

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

_DESCRIPTORS = 6_000


@dataclass(frozen=True)
class Form:
    """Seconds and numbers of one form."""

    is_full: bool
    seconds: float
    idle_connections: int
    deaf_senders: int


@pytest.fixture(scope="session")
def form() -> Form:
    """The form that is asked for."""
    if os.environ.get("OVERLOAD") == "full":
        return Form(is_full=True, seconds=5.0, idle_connections=4_000, deaf_senders=80)
    return Form(is_full=False, seconds=1.0, idle_connections=2_000, deaf_senders=30)


@pytest.fixture(autouse=True, scope="session")
def _descriptors() -> Iterator[None]:
    """Room for thousands of connections, in this process and in those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
