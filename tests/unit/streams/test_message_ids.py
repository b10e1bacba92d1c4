"""Ids of what is put through again: what they have in common with the first, and that they never grow too long."""

import pytest

from streams import message_ids

GATEWAY_ID = "0af7651916cd43dd8448eb211c80319c-facebook-3"


def test_a_message_its_replay_and_the_replay_of_that_have_one_key() -> None:
    replay = message_ids.replay_id(GATEWAY_ID)
    assert replay != GATEWAY_ID
    assert message_ids.replay_id(replay) == replay
    assert message_ids.key(replay) == message_ids.key(GATEWAY_ID) == GATEWAY_ID
    assert message_ids.is_replay(replay)
    assert not message_ids.is_replay(GATEWAY_ID)


def test_a_dead_letter_knows_its_parent_and_its_root_whichever_copy_it_came_from() -> None:
    revival = message_ids.revival_id(GATEWAY_ID, 7)
    assert message_ids.revival_id(message_ids.replay_id(GATEWAY_ID), 7) == revival
    assert message_ids.revival_id(GATEWAY_ID, 8) != revival
    again = message_ids.revival_id(revival, 0)
    assert (message_ids.parent(again), message_ids.parent(revival)) == (revival, GATEWAY_ID)
    assert message_ids.parent(GATEWAY_ID) is None
    assert message_ids.root(again) == message_ids.root(message_ids.replay_id(again)) == GATEWAY_ID
    assert message_ids.request_id(message_ids.root(again)) == "0af7651916cd43dd8448eb211c80319c"


def test_the_replay_of_a_group_has_messages_with_the_keys_of_the_groups() -> None:
    group = "0af7651916cd43dd8448eb211c80319c-facebook"
    assert message_ids.key(f"{message_ids.replay_id(group)}.3") == f"{group}.3"


@pytest.mark.parametrize("chars", [1, 199, 200, 201, 255])
def test_an_id_of_any_length_leads_to_one_that_a_collector_takes_and_its_relations_hold(chars: int) -> None:
    message_id = ("r-" * 128)[:chars]
    assert len(message_ids.key(message_id)) <= message_ids.MAX_KEY_CHARS
    replay, revival = message_ids.replay_id(message_id), message_ids.revival_id(message_id, 9_999)
    assert max(len(replay), len(revival)) <= 255
    assert message_ids.key(replay) == message_ids.key(message_id)
    assert message_ids.parent(revival) == message_ids.key(message_id)


def test_a_dead_letter_that_is_put_through_for_ever_never_gets_too_long_an_id() -> None:
    message_id, seen = GATEWAY_ID, set()
    for _ in range(100):
        message_id = message_ids.revival_id(message_id, 0)
        assert len(message_id) <= 255
        assert message_id not in seen
        assert message_ids.request_id(message_ids.root(message_id)) == GATEWAY_ID.partition("-")[0]
        seen.add(message_id)
