"""Which keys are remembered, and that there is an end to it."""

from collectors.recent import REMEMBERED_KEYS, Recent


def _keys(first: int, count: int) -> list[str]:
    return [str(key) for key in range(first, first + count)]


def test_the_keys_of_the_flushes_before_are_found_in_their_order() -> None:
    recent = Recent()
    recent.add(_keys(0, 10))
    recent.add(_keys(10, 10))

    assert recent.among(["30", "15", "2", "20"]) == ["15", "2"]


def test_so_many_keys_are_remembered_however_many_a_flush_has() -> None:
    for flush in (1, 999, REMEMBERED_KEYS, 2 * REMEMBERED_KEYS):
        recent, total = Recent(), 0
        while total < 3 * REMEMBERED_KEYS:
            recent.add(_keys(total, flush))
            total += flush
        last = _keys(total - REMEMBERED_KEYS, REMEMBERED_KEYS)
        assert recent.among(last) == last


def test_old_keys_are_forgotten() -> None:
    recent = Recent()
    for first in range(0, 10 * REMEMBERED_KEYS, 5_000):
        recent.add(_keys(first, 5_000))

    assert len(recent.among(_keys(0, 10 * REMEMBERED_KEYS))) <= 2 * REMEMBERED_KEYS + 5_000
