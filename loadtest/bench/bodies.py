"""Requests' bodies, made before the clock starts, in one file.

Invariant: the file holds the bodies one after the other and nothing else, and the index says of each where it is and
what is in it. No id is in two files of different seeds, so every file makes new rows.
"""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from loadtest.generator import Plan, batches

Sign = Callable[[bytes], Mapping[str, str]]
"""The headers by which a body's sender is known."""


def unsigned(_body: bytes) -> Mapping[str, str]:
    """None: the gateway is open."""
    return {}


@dataclass(frozen=True, slots=True)
class Body:
    """One request: its place in the file, and what is in it. `repeated`: events that are in an earlier one too.

    `headers`: those it needs beside the usual ones.
    """

    offset: int
    size_bytes: int
    events: int
    invalid: int
    repeated: int
    correlation_id: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def valid(self) -> int:
        """Events the gateway will accept."""
        return self.events - self.invalid


@dataclass(frozen=True, slots=True)
class Bodies:
    """A file of bodies and its index. `single`: each body is one event, not an array."""

    path: Path
    index: Sequence[Body]
    single: bool = False

    @property
    def index_path(self) -> Path:
        """Where `write` puts the index, and the load program finds it."""
        return self.path.with_suffix(".index.json")

    @property
    def valid(self) -> int:
        """Events the gateway will accept, over all bodies."""
        return sum(body.valid for body in self.index)

    @classmethod
    def load(cls, path: Path) -> "Bodies":
        """What `write` wrote."""
        content = json.loads(path.with_suffix(".index.json").read_text(encoding="ascii"))
        return cls(path, [Body(**body) for body in content["bodies"]], content["single"])


def write(path: Path, plan: Plan, *, single: bool = False, sign: Sign = unsigned) -> Bodies:
    """The plan in a file, a body for each batch, or for each event where `single`. Blocks (3 s a million)."""
    index: list[Body] = []
    offset = 0
    with path.open("wb") as file:
        for batch in batches(plan):
            if single:
                made = [(event.encode(), 1, int(at in batch.invalid), 0) for at, event in enumerate(batch.events)]
            else:
                made = [(batch.array(), len(batch.events), len(batch.invalid), len(batch.repeated))]
            for body, events, invalid, repeated in made:
                size_bytes, correlation_id = file.write(body), str(uuid.uuid4())
                index.append(Body(offset, size_bytes, events, invalid, repeated, correlation_id, sign(body)))
                offset += len(body)
    bodies = Bodies(path, index, single)
    content = {"single": single, "bodies": [asdict(body) for body in index]}
    bodies.index_path.write_text(json.dumps(content), encoding="ascii")
    return bodies
