"""SCRAM against scramp, which is not written here: as client of our server, and as server of our client."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scramp import ScramClient, ScramException, ScramMechanism  # type: ignore[import-untyped]  # scramp has no type hints

from saslauthd_py.keys import AccountKeys, Hash
from saslauthd_py.mechanisms import saslprep
from saslauthd_py.mechanisms.exchange import Challenge, Disproved, Proved, Step
from saslauthd_py.mechanisms.scram import base64
from saslauthd_py.mechanisms.scram.client import Client, Refused, Untrusted
from saslauthd_py.mechanisms.scram.keys import derive, gather
from saslauthd_py.mechanisms.scram.server import Server
from saslauthd_py.secret import Secret
from tests.mechanisms.scram_samples import offered

SALT = b"sixteen bytes .."


def account(function: Hash, password: str) -> AccountKeys:
    return gather([(1, derive(function, Secret(password.encode()), SALT, 4096))])


def dialogue(client: ScramClient, function: Hash, keys: AccountKeys) -> Step:
    """What our server says at the end to this client."""
    challenge = offered(Server(function), client.get_client_first().encode(), keys)
    client.set_server_first(challenge.message.decode())
    return challenge.receive(client.get_client_final().encode())


def usable(password: str) -> bool:
    try:
        return saslprep.prepare(password, stored=True) != ""
    except saslprep.Unprepared:
        return False


NAMES = st.text("abä,=@. ", min_size=1)
PASSWORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(usable)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(Hash), NAMES, PASSWORDS)
def test_scramp_logs_in_and_finds_our_signature_right(function: Hash, name: str, password: str) -> None:
    client = ScramClient([function.mechanism], name, password)
    proved = dialogue(client, function, account(function, password))
    assert isinstance(proved, Proved)
    assert proved.authcid == name
    assert proved.message is not None
    client.set_server_final(proved.message.decode())


@pytest.mark.parametrize("function", Hash)
def test_scramp_with_a_wrong_password_is_disproved_and_understands_why(function: Hash) -> None:
    client = ScramClient([function.mechanism], "tim", "wrong")
    step = dialogue(client, function, account(function, "right"))
    assert isinstance(step, Disproved)
    with pytest.raises(ScramException, match="invalid-proof"):
        client.set_server_final(step.message.decode())


@pytest.mark.parametrize("function", Hash)
def test_scramp_refuses_a_wrong_server_signature(function: Hash) -> None:
    client = ScramClient([function.mechanism], "tim", "right")
    proved = dialogue(client, function, account(function, "right"))
    assert isinstance(proved, Proved)
    assert proved.message is not None
    signature = base64.decode(proved.message.decode().removeprefix("v="))
    assert signature is not None
    wrong = base64.encode(bytes([signature[0] ^ 1]) + signature[1:])
    with pytest.raises(ScramException):
        client.set_server_final(f"v={wrong}")


@pytest.mark.parametrize("function", Hash)
def test_scramp_refuses_a_server_that_has_the_stored_key_alone(function: Hash) -> None:
    right = derive(function, Secret(b"right"), SALT, 4096)
    other = derive(function, Secret(b"other"), SALT, 4096)
    client = ScramClient([function.mechanism], "tim", "right")
    mixed = type(right)(SALT, 4096, right.stored_key, other.server_key)
    proved = dialogue(client, function, AccountKeys(SALT, 4096, ((1, mixed),)))
    assert isinstance(proved, Proved)
    assert proved.message is not None
    with pytest.raises(ScramException):
        client.set_server_final(proved.message.decode())


def test_scramp_that_could_bind_a_channel_and_sees_no_plus_logs_in() -> None:
    first, second = (ScramClient(["SCRAM-SHA-256"], "tim", "right", channel_binding=("tls-unique", b"data")) for _ in range(2))
    assert first.get_client_first().startswith("y,,")
    assert isinstance(dialogue(second, Hash.SHA256, account(Hash.SHA256, "right")), Proved)


def test_scramp_that_insists_on_a_bound_channel_fails_at_once() -> None:
    client = ScramClient(["SCRAM-SHA-256-PLUS"], "tim", "right", channel_binding=("tls-unique", b"data"))
    step = Server(Hash.SHA256).begin(client.get_client_first().encode())
    assert not isinstance(step, Challenge)
    assert "channel binding" in repr(step)


@pytest.mark.parametrize("function", Hash)
def test_our_client_logs_in_at_scramp(function: Hash) -> None:
    mechanism = ScramMechanism(function.mechanism)
    salt, stored, key, rounds = mechanism.make_auth_info("p\u00e4ss\u00adword")
    server = mechanism.make_server(lambda _: (salt, stored, key, rounds))
    client = Client(function, "t,m=", Secret("p\u00e4ssword".encode()))
    server.set_client_first(client.first().decode())
    final = client.final(server.get_server_first().encode())
    server.set_client_final(final.message.decode())
    final.check(server.get_server_final().encode())


def test_our_client_is_told_by_scramp_that_the_password_is_wrong_and_does_not_trust_another_server() -> None:
    mechanism = ScramMechanism("SCRAM-SHA-256")
    salt, stored, _, rounds = mechanism.make_auth_info("right")
    mixed = (salt, stored, b"x" * 32, rounds)
    server = mechanism.make_server(lambda _: mixed)
    client = Client(Hash.SHA256, "tim", Secret(b"right"))
    server.set_client_first(client.first().decode())
    final = client.final(server.get_server_first().encode())
    server.set_client_final(final.message.decode())
    with pytest.raises(Untrusted, match="wrong server signature"):
        final.check(server.get_server_final().encode())

    server = mechanism.make_server(lambda _: mixed)
    client = Client(Hash.SHA256, "tim", Secret(b"wrong"))
    server.set_client_first(client.first().decode())
    final = client.final(server.get_server_first().encode())
    with pytest.raises(ScramException):
        server.set_client_final(final.message.decode())
    with pytest.raises(Refused, match="invalid-proof"):
        final.check(server.get_server_final().encode())
