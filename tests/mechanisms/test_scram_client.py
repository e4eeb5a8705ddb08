"""The client's side of SCRAM: what it sends, and which servers it does not trust."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.keys import Hash
from saslauthd_py.mechanisms.scram.client import Client, Refused, Untrusted
from saslauthd_py.mechanisms.scram.keys import Unusable
from saslauthd_py.secret import Secret
from tests.mechanisms.scram_samples import BOTH, PENCIL, SHA1, SHA256, Sample


def client(sample: Sample) -> Client:
    return Client(sample.function, "user", PENCIL, nonce=sample.client_nonce)


@pytest.mark.parametrize("sample", BOTH)
def test_dialogue_of_the_rfc(sample: Sample) -> None:
    assert client(sample).first() == sample.client_first
    final = client(sample).final(sample.server_first)
    assert final.message == sample.client_final
    final.check(sample.server_final)


def test_names_are_prepared_and_encoded() -> None:
    first = Client(Hash.SHA256, "I\u00adX,=", PENCIL, "b\u00aa,ss", "nonce").first()
    assert first == b"n,a=ba=2Css,n=IX=2C=3D,r=nonce"


@pytest.mark.parametrize("name", ["a\tb", "\u00ad"])
def test_a_name_without_a_prepared_form_is_sent_as_it_is(name: str) -> None:
    assert Client(Hash.SHA256, name, PENCIL, nonce="x").first() == f"n,,n={name},r=x".encode()


def test_each_client_has_a_nonce_of_its_own() -> None:
    assert len({Client(Hash.SHA256, "user", PENCIL).first() for _ in range(20)}) == 20


def test_a_password_that_has_no_keys_is_said() -> None:
    with pytest.raises(Unusable, match="not UTF-8"):
        Client(Hash.SHA256, "user", Secret(b"\xff"), nonce=SHA256.client_nonce).final(SHA256.server_first)


@pytest.mark.parametrize(
    ("server_first", "why"),
    [
        (b"", "no attribute"),
        (b"e=other-error", "without a nonce"),
        (SHA256.server_first.replace(b"r=r", b"r=R"), "not ours"),
        (b"r=" + SHA256.client_nonce.encode() + b",s=AAAA,i=4096", "not ours"),
        (SHA256.server_first.replace(b"4096", b"4095"), "4095 rounds"),
        (SHA256.server_first.replace(b"4096", b"10000001"), "10000001 rounds"),
        (b"m=1," + SHA256.server_first, "must be understood"),
    ],
)
def test_a_server_that_does_not_keep_to_scram_gets_no_proof(server_first: bytes, why: str) -> None:
    with pytest.raises(Untrusted, match=why):
        client(SHA256).final(server_first)


@pytest.mark.parametrize("server_final", [SHA1.server_final, b"v=" + b"A" * 43 + b"=", b"", b"ok", b"v=!"])
def test_a_server_without_the_keys_is_not_trusted(server_final: bytes) -> None:
    with pytest.raises(Untrusted):
        client(SHA256).final(SHA256.server_first).check(server_final)


def test_an_error_of_the_server_is_told() -> None:
    with pytest.raises(Refused, match=r"^invalid-proof$"):
        client(SHA256).final(SHA256.server_first).check(b"e=invalid-proof")


def test_neither_password_nor_signature_is_shown() -> None:
    final = client(SHA256).final(SHA256.server_first)
    assert "pencil" not in repr(client(SHA256))
    assert repr(final.verifier) not in repr(final)


@given(st.binary())
def test_no_garbage_passes_for_the_servers_signature(message: bytes) -> None:
    with pytest.raises((Untrusted, Refused)):
        client(SHA256).final(SHA256.server_first).check(message)
