"""Correlation ids: a sender's where it can stand everywhere as it is, else a new one."""

import uuid

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from gateway.correlation import correlation_id_of, is_sane, traceparent_of

GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("sent", ["a", "0", "2f1c1f5e-8f0b-4d0e-9d51-4a4b6f3f5a77", "file-1_2.3:4/5+6=7@8", "x" * 128])
def test_a_sane_one_is_kept(sent: str) -> None:
    assert is_sane(sent)
    assert correlation_id_of(make_mocked_request("POST", "/", {"x-correlation-id": sent})) == sent


@pytest.mark.parametrize(
    "sent",
    [
        "",
        " a",
        "a ",
        "a b",
        "a\n",
        "a\r\nInjected: 1",
        "\n",
        "x" * 129,
        "-a",
        ".a",
        "a\0",
        "é",
        "a\u2028",
        "<a>",
        'a"',
        "a,b",
        "a%0a",
    ],
)
def test_any_other_is_replaced_by_a_uuid_and_stays_the_same_within_the_request(sent: str) -> None:
    assert not is_sane(sent)
    request = make_mocked_request("POST", "/", {"x-correlation-id": sent})
    replaced = correlation_id_of(request)
    assert uuid.UUID(replaced).version == 4
    assert correlation_id_of(request) == replaced


def test_two_requests_without_one_get_two() -> None:
    assert len({correlation_id_of(make_mocked_request("POST", "/")) for _ in range(2)}) == 2


@given(sent=st.text())
def test_what_is_sane_is_printable_ascii_without_blanks(sent: str) -> None:
    if is_sane(sent):
        assert all("!" <= character <= "~" for character in sent)
        assert 1 <= len(sent) <= 128


@pytest.mark.parametrize(
    ("sent", "passed_on"),
    [(GOOD, GOOD), ("", None), (GOOD.upper(), None), (GOOD + "\n", None), (GOOD + "-x", None), (GOOD[:-1], None)],
)
def test_a_trace_context_is_passed_on_only_where_it_is_well_formed(sent: str, passed_on: str | None) -> None:
    assert traceparent_of(make_mocked_request("POST", "/", {"traceparent": sent})) == passed_on
