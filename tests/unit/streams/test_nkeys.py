"""Keys as NATS spells them, and what is no key."""

from base64 import b32encode, b64decode
from binascii import crc_hqx
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.errors import Fatal
from streams.keys import make_keys
from streams.nkeys import UserKey, read_creds
from streams.rights import roles
from streams.subjects import Names

SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
PUBLIC = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
"""The pair that NATS' documentation shows under "NKey"."""

CREDS = """-----BEGIN NATS USER JWT-----
eyJ0.eyJq.c2ln-_
------END NATS USER JWT------

************************* IMPORTANT *************************
-----BEGIN USER NKEY SEED-----
{seed}
------END USER NKEY SEED------
"""


def test_a_pair_is_the_one_of_nats_documentation() -> None:
    assert UserKey(SEED).public == PUBLIC


def test_a_new_pair_is_another_one_and_can_be_read_again() -> None:
    one, other = UserKey.new(), UserKey.new()
    assert one.public != other.public
    assert UserKey(one.seed).public == one.public
    assert (len(one.seed), one.seed[:2], len(one.public), one.public[0]) == (58, "SU", 56, "U")


def test_a_nonce_is_signed_so_that_the_public_key_verifies_it() -> None:
    raw = bytes(range(32))
    body = bytes([18 << 3 | 20 << 3 >> 5, (20 << 3 & 31) << 3]) + raw
    seed = b32encode(body + crc_hqx(body, 0).to_bytes(2, "little")).decode().rstrip("=")
    Ed25519PrivateKey.from_private_bytes(raw).public_key().verify(b64decode(UserKey(seed).sign("nonce")), b"nonce")


def _of_an_account() -> str:
    body = bytes([18 << 3, 0]) + bytes(32)
    return b32encode(body + crc_hqx(body, 0).to_bytes(2, "little")).decode().rstrip("=")


@pytest.mark.parametrize(
    "seed",
    [
        "", "SU", PUBLIC, SEED[:-1], SEED + "A", SEED[:-1] + "Z", SEED[:20] + "A" + SEED[21:], SEED.lower(),
        _of_an_account(),
    ],
)  # fmt: skip
def test_what_is_no_users_seed_is_refused_without_being_shown(seed: str) -> None:
    with pytest.raises(ValueError, match=r"^not a user's seed") as caught:
        UserKey(seed)
    assert not seed or seed not in str(caught.value)


def test_a_credentials_file_holds_a_jwt_and_a_seed() -> None:
    jwt, key = read_creds(CREDS.format(seed=SEED))
    assert (jwt, key.public) == ("eyJ0.eyJq.c2ln-_", PUBLIC)


@pytest.mark.parametrize("text", ["", SEED, CREDS.replace("NATS USER JWT", "SOMETHING"), CREDS.format(seed="SUABC")])
def test_what_is_no_credentials_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not "):
        read_creds(text)


def test_keys_are_made_once_for_each_role_and_only_their_owner_can_read_the_seeds(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    made = make_keys(folder, roles(["facebook"], Names()))
    assert [key.role.name for key in made] == ["floodgate-gateway", "floodgate-collector-facebook", "floodgate-streams"]
    assert all(key.is_new and key.seed_file.stat().st_mode & 0o777 == 0o600 for key in made)
    again = make_keys(folder, roles(["facebook", "tiktok"], Names()))
    assert [key.role.name for key in again if key.is_new] == ["floodgate-collector-tiktok"]
    assert {key.public for key in made} < {key.public for key in again}
    listed = (folder / "keys.conf").read_text()
    assert [line for line in listed.splitlines() if not line.startswith("#")] == [
        f"{key.role.variable}: {key.public}" for key in again
    ]
    for key in again:
        assert UserKey(key.seed_file.read_text().strip()).public == key.public
        assert key.seed_file.read_text().strip() not in listed


def test_while_keys_are_changed_each_role_has_two(tmp_path: Path) -> None:
    wanted = roles(["facebook"], Names())
    [before, *_] = make_keys(tmp_path, wanted)
    [current, following, *_] = make_keys(tmp_path, wanted, with_next=True)
    assert (current.public, current.is_new) == (before.public, False)
    assert (following.variable, following.seed_file.name) == ("GATEWAY_NKEY_NEXT", "floodgate-gateway.next.seed")
    assert f"GATEWAY_NKEY_NEXT: {following.public}\n" in (tmp_path / "keys.conf").read_text()
    following.seed_file.replace(current.seed_file)
    [after, *_] = make_keys(tmp_path, wanted)
    assert (after.public, after.is_new) == (following.public, False)
    assert "_NEXT" not in (tmp_path / "keys.conf").read_text()


def test_a_seed_that_is_broken_is_told_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "floodgate-gateway.seed").write_text("broken")
    with pytest.raises(Fatal, match=r"floodgate-gateway\.seed: not a user's seed"):
        make_keys(tmp_path, roles([], Names()))
    assert (tmp_path / "floodgate-gateway.seed").read_text() == "broken"


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Fatal, match="keys can't be written to"):
        make_keys(tmp_path / "file", roles([], Names()))
