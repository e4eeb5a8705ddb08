"""The server's side of SCRAM: the dialogues of RFC 5802 and RFC 7677, whole, cut and bent."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.keys import AccountKeys, Hash
from saslauthd_py.mechanisms.exchange import Challenge, Disproved, Failed, NeedKeys, Proved
from saslauthd_py.mechanisms.scram.client import Client
from saslauthd_py.mechanisms.scram.keys import decoy, derive, gather
from saslauthd_py.mechanisms.scram.server import Server
from saslauthd_py.secret import Secret
from tests.mechanisms.scram_samples import BOTH, PENCIL, SHA1, SHA256, Sample, offered

UNKNOWN = decoy(Secret(b"random"), Hash.SHA256, "user", 4096)
WRONG = b"e=invalid-proof"


@pytest.mark.parametrize("sample", BOTH)
def test_dialogue_of_the_rfc(sample: Sample) -> None:
    step = sample.server().begin(None)
    assert isinstance(step, Challenge)
    assert step.message == b""
    asked = step.receive(sample.client_first)
    assert isinstance(asked, NeedKeys)
    assert (asked.authzid, asked.authcid, asked.function) == ("", "user", sample.function)
    challenge = asked.resolve(sample.account(credential=7))
    assert isinstance(challenge, Challenge)
    assert challenge.message == sample.server_first
    assert challenge.receive(sample.client_final) == Proved("", "user", sample.server_final, 7)


@pytest.mark.parametrize("sample", BOTH)
def test_an_initial_response_is_the_first_message(sample: Sample) -> None:
    challenge = offered(sample.server(), sample.client_first, sample.account())
    assert challenge.receive(sample.client_final) == Proved("", "user", sample.server_final, 7)


def test_an_empty_initial_response_is_a_malformed_message() -> None:
    assert SHA256.server().begin(b"") == Failed("SCRAM without a GS2 header", b"e=other-error")


def test_each_exchange_has_a_nonce_of_its_own() -> None:
    challenges = {offered(Server(Hash.SHA256), SHA256.client_first, SHA256.account()).message for _ in range(20)}
    assert len(challenges) == 20
    assert all(challenge.startswith(b"r=" + SHA256.client_nonce.encode()) for challenge in challenges)


def test_a_proof_cannot_be_used_in_another_exchange() -> None:
    challenge = offered(Server(Hash.SHA256), SHA256.client_first, SHA256.account())
    assert challenge.receive(SHA256.client_final) == Failed("SCRAM with another nonce than the exchange's", b"e=other-error")


def proof_by(challenge: Challenge, client: Client) -> bytes:
    return client.final(challenge.message).message


def test_a_wrong_password_is_disproved() -> None:
    client = Client(Hash.SHA256, "user", Secret(b"pencils"), "boss")
    challenge = offered(SHA256.server(), client.first(), SHA256.account())
    assert challenge.receive(proof_by(challenge, client)) == Disproved("boss", "user", WRONG)


def test_f3_an_unknown_account_gets_a_challenge_and_fails_at_the_proof_as_a_wrong_password_does() -> None:
    client = Client(Hash.SHA256, "user", PENCIL)
    challenge = offered(SHA256.server(), client.first(), UNKNOWN)
    assert challenge.message.endswith(b",i=4096")
    assert challenge.receive(proof_by(challenge, client)) == Disproved("", "user", WRONG)


def test_f3_no_proof_fits_an_account_without_keys_not_even_one_for_the_key_it_is_compared_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saslauthd_py.mechanisms.scram.server.proves", lambda *_: True)
    client = Client(Hash.SHA256, "user", PENCIL)
    challenge = offered(SHA256.server(), client.first(), UNKNOWN)
    assert challenge.receive(proof_by(challenge, client)) == Disproved("", "user", WRONG)


def test_d6_an_unknown_account_costs_as_many_comparisons_as_one_with_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def proves(_: Hash, stored_key: bytes, *rest: bytes) -> bool:
        compared.append(stored_key)
        return False

    monkeypatch.setattr("saslauthd_py.mechanisms.scram.server.proves", proves)
    client = Client(Hash.SHA256, "user", PENCIL)
    for keys in (SHA256.account(), UNKNOWN):
        challenge = offered(SHA256.server(), client.first(), keys)
        challenge.receive(proof_by(challenge, client))
    assert [len(key) for key in compared] == [32, 32]


def test_each_secret_of_an_account_proves_and_is_told_by_its_number() -> None:
    secrets = {number: Secret(f"device {number}".encode()) for number in (3, 5, 8)}
    keys = gather([(number, derive(Hash.SHA1, secret, b"salt", 4096)) for number, secret in secrets.items()])
    for number, secret in secrets.items():
        client = Client(Hash.SHA1, "tim", secret)
        challenge = offered(Server(Hash.SHA1), client.first(), keys)
        final = client.final(challenge.message)
        proved = challenge.receive(final.message)
        assert isinstance(proved, Proved)
        assert proved.credential == number
        assert proved.message is not None
        final.check(proved.message)


def test_authzid_and_name_come_decoded() -> None:
    asked = SHA256.server().begin(b"y,a=a=2Cb,n=c=3Dd,r=x")
    assert isinstance(asked, NeedKeys)
    assert (asked.authzid, asked.authcid) == ("a,b", "c=d")


def test_channel_binding_that_is_not_offered_fails_before_any_account_is_looked_up() -> None:
    step = SHA256.server().begin(b"p=tls-exporter,,n=user,r=x")
    assert step == Failed("SCRAM with channel binding, which is not offered", b"e=channel-binding-not-supported")


@pytest.mark.parametrize("binding", ["eSws", "biw=", "biwsYWJj", "bix=", "BIWS", "biws="])
def test_another_gs2_header_than_the_first_one_fails(binding: str) -> None:
    challenge = offered(SHA256.server(), SHA256.client_first, SHA256.account())
    bent = SHA256.client_final.replace(b"c=biws", f"c={binding}".encode())
    assert challenge.receive(bent) == Failed("SCRAM with another GS2 header in its channel binding", b"e=channel-bindings-dont-match")


def test_y_is_bound_as_it_was_sent() -> None:
    challenge = offered(SHA256.server(), SHA256.client_first.replace(b"n,,", b"y,,"), SHA256.account())
    assert challenge.receive(SHA256.client_final.replace(b"biws", b"eSws")) == Disproved("", "user", WRONG)  # it is signed too
    assert isinstance(challenge.receive(SHA256.client_final), Failed)


def test_the_proof_of_another_hash_fails() -> None:
    challenge = offered(SHA256.server(), SHA256.client_first, SHA256.account())
    bent = SHA256.client_final.replace(SHA256.proof.encode(), SHA1.proof.encode())
    assert challenge.receive(bent) == Failed("SCRAM with a proof that is not of 32 bytes", b"e=invalid-proof")


def test_no_step_shows_a_key() -> None:
    challenge = offered(SHA256.server(), SHA256.client_first, SHA256.account())
    shown = repr([SHA256.server().begin(SHA256.client_first), challenge, challenge.receive(SHA256.client_final)])
    assert repr(SHA256.keys.stored_key) not in shown
    assert repr(SHA256.keys.server_key) not in shown


@pytest.mark.parametrize("sample", BOTH)
def test_the_first_message_cut_anywhere_names_nobody_else(sample: Sample) -> None:
    for end in range(len(sample.client_first)):
        step = sample.server().begin(sample.client_first[:end])
        assert isinstance(step, Failed) or (isinstance(step, NeedKeys) and step.authcid == "user")


@pytest.mark.parametrize("sample", BOTH)
def test_the_last_message_cut_or_bent_anywhere_proves_nothing(sample: Sample) -> None:
    challenge = offered(sample.server(), sample.client_first, sample.account())
    final = sample.client_final
    cut = [final[:end] for end in range(len(final))]
    bent = [final[:at] + bytes([final[at] ^ 1 << bit]) + final[at + 1 :] for at in range(len(final)) for bit in range(8)]
    longer = [final + more for more in (b"=", b"\n", b"\0", b",", b",z=1", b"AAAA")]
    assert not any(isinstance(challenge.receive(message), Proved) for message in cut + bent + longer)


@given(st.none() | st.binary(), st.lists(st.binary() | st.sampled_from([SHA256.client_first, SHA256.client_final[:-1]]), max_size=4))
def test_garbage_never_proves_and_says_the_same_of_known_and_unknown(initial: bytes | None, responses: list[bytes]) -> None:
    assert followed(initial, responses, SHA256.account()) == followed(initial, responses, UNKNOWN)


def followed(initial: bytes | None, responses: list[bytes], keys: AccountKeys) -> list[str]:
    """What the steps are, one after another: kinds alone, for salts differ, and what the client is told at the end."""
    step = SHA256.server().begin(initial)
    kinds = []
    for response in [*responses, b""]:
        if isinstance(step, NeedKeys):
            step = step.resolve(keys)
        kinds.append(type(step).__name__)
        if not isinstance(step, Challenge):
            break
        step = step.receive(response)
    assert not isinstance(step, Proved)
    return [*kinds, repr(step) if isinstance(step, Failed | Disproved) else ""]


@given(st.binary(min_size=32, max_size=32))
def test_any_other_proof_is_disproved(proof: bytes) -> None:
    encoded = b64encode(proof)
    challenge = offered(SHA256.server(), SHA256.client_first, SHA256.account())
    step = challenge.receive(SHA256.client_final.replace(SHA256.proof.encode(), encoded))
    assert step == (Disproved("", "user", WRONG) if encoded != SHA256.proof.encode() else Proved("", "user", SHA256.server_final, 7))
