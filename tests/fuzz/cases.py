"""Seed and number → a case: a real request, mutated before its coding, after it, in its headers, or not at all."""

import random
from collections.abc import Sequence
from typing import Final

from tests.fuzz import corpus, mutations
from tests.fuzz.case import Case

_UNTOUCHED_SHARE: Final = 0.05
_CODED_SHARE: Final = 0.3
_AFTER_CODING_SHARE: Final = 0.3
_SPLICED_SHARE: Final = 0.1
_HEADERS_SHARE: Final = 0.25
_CHUNKED_SHARE: Final = 0.1


class Cases:
    """All cases of a seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._pool: Sequence[bytes] = corpus.events(seed)

    def __getitem__(self, number: int) -> Case:
        rng = random.Random(f"{self._seed}:{number}")
        path, headers, body = corpus.request(rng, self._pool)
        made: list[str] = []
        is_touched = rng.random() >= _UNTOUCHED_SHARE
        if is_touched:
            body = self._broken(rng, body, made)
        if rng.random() < _CODED_SHARE:
            name = rng.choice(tuple(corpus.CODINGS))
            token, encode = corpus.CODINGS[name]
            headers.append((b"Content-Encoding", token))
            body = encode(body)
            made.append(name)
            if is_touched and rng.random() < _AFTER_CODING_SHARE:
                body = self._mutated(rng, body, made)
        if is_touched and rng.random() < _HEADERS_SHARE:
            headers = mutations.headers_changed(rng, headers)
            made.append("headers_changed")
        return Case(
            number=number,
            path=path,
            headers=headers,
            body=body[: mutations.MAX_BYTES],
            is_chunked=rng.random() < _CHUNKED_SHARE,
            origin=", ".join(made) or "untouched",
        )

    def _broken(self, rng: random.Random, body: bytes, made: list[str]) -> bytes:
        if rng.random() < _SPLICED_SHARE:
            body = mutations.spliced(rng, body, corpus.request(rng, self._pool)[2])
            made.append("spliced")
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            body = self._mutated(rng, body, made)
        return body

    @staticmethod
    def _mutated(rng: random.Random, body: bytes, made: list[str]) -> bytes:
        mutation = rng.choice(mutations.MUTATIONS)
        made.append(mutation.__name__)
        return mutation(rng, body)[: mutations.MAX_BYTES]
