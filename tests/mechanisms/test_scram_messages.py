"""RFC 5802 sections 5.1 and 7: the grammar of SCRAM's messages."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.mechanisms.scram import base64, messages
from saslauthd_py.mechanisms.scram.messages import ClientFinal, ClientFirst, Malformed, ServerError, ServerFirst
from tests.mechanisms.scram_samples import BOTH, Sample

PROOF = "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="


@pytest.mark.parametrize("sample", BOTH)
def test_messages_of_the_rfc_are_read(sample: Sample) -> None:
    nonce = sample.client_nonce + sample.server_nonce
    assert messages.read_client_first(sample.client_first) == ClientFirst(
        "n,,", f"n=user,r={sample.client_nonce}", "", "user", sample.client_nonce
    )
    assert messages.read_server_first(sample.server_first) == ServerFirst(nonce, sample.keys.salt, 4096)
    proof = base64.decode(sample.proof)
    assert proof is not None
    assert messages.read_client_final(sample.client_final) == ClientFinal(f"c=biws,r={nonce}", "biws", nonce, proof)
    assert messages.read_server_final(sample.server_final) == base64.decode(sample.verifier)


@pytest.mark.parametrize(
    ("message", "read"),
    [
        ("y,,n=u,r=x", ClientFirst("y,,", "n=u,r=x", "", "u", "x")),
        ("n,a=boss,n=u,r=x", ClientFirst("n,a=boss,", "n=u,r=x", "boss", "u", "x")),
        ("n,a=a=2Cb=3D,n=c=3D2C,r=x", ClientFirst("n,a=a=2Cb=3D,", "n=c=3D2C,r=x", "a,b=", "c=2C", "x")),
        ("n,,n=jürgen@example.org,r=x,z=later=1", ClientFirst("n,,", "n=jürgen@example.org,r=x,z=later=1", "", "jürgen@example.org", "x")),
        ("n,,n=u,r=!+-~=", ClientFirst("n,,", "n=u,r=!+-~=", "", "u", "!+-~=")),
    ],
)
def test_client_first_is_taken_apart(message: str, read: ClientFirst) -> None:
    assert messages.read_client_first(message.encode()) == read


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("", "other-error"),
        ("n", "other-error"),
        ("n,n=u,r=x", "other-error"),
        ("n,,", "other-error"),
        ("x,,n=u,r=x", "other-error"),
        ("N,,n=u,r=x", "other-error"),
        ("nn,,n=u,r=x", "other-error"),
        (",,n=u,r=x", "other-error"),
        ("p=,,n=u,r=x", "other-error"),
        ("p,,n=u,r=x", "other-error"),
        ("p=tls-exporter,,n=u,r=x", "channel-binding-not-supported"),
        ("p=no.such-1,a=b,n=u,r=x", "channel-binding-not-supported"),
        ("n,boss,n=u,r=x", "other-error"),
        ("n,a=,n=u,r=x", "invalid-username-encoding"),
        ("n,a=b=2c,n=u,r=x", "invalid-username-encoding"),
        ("n,,n=,r=x", "other-error"),
        ("n,,n=a=,r=x", "invalid-username-encoding"),
        ("n,,n=a=2c,r=x", "invalid-username-encoding"),
        ("n,,n=a=2,r=x", "invalid-username-encoding"),
        ("n,,n=a=2Db,r=x", "invalid-username-encoding"),
        ("n,,r=x,n=u", "other-error"),
        ("n,,n=u", "other-error"),
        ("n,,n=u,r=", "other-error"),
        ("n,,n=u,r=x y", "other-error"),
        ("n,,n=u,r=xé", "other-error"),
        ("n,,n=u,r=x\x7f", "other-error"),
        ("n,,n=u,r=" + "x" * 1025, "other-error"),
        ("n,,m=ext,n=u,r=x", "extensions-not-supported"),
        ("n,,n=u,r=x,m=ext", "extensions-not-supported"),
        ("n,,n=u,r=x,n=v", "other-error"),
        ("n,,n=u,r=x,r=y", "other-error"),
        ("n,,n=u,r=x,", "other-error"),
        ("n,,n=u,r=x,z", "other-error"),
        ("n,,n=u,r=x,zz=1", "other-error"),
        ("n,,n=u,r=x,1=1", "other-error"),
        ("n,,n=u\0,r=x", "invalid-encoding"),
        (b"n,,n=\xff,r=x", "invalid-encoding"),
    ],
)
def test_client_first_is_refused_with_the_error_of_the_rfc(message: str | bytes, error: str) -> None:
    with pytest.raises(Malformed) as refused:
        messages.read_client_first(message if isinstance(message, bytes) else message.encode())
    assert refused.value.error == ServerError(error)


def test_the_longest_nonce_is_taken() -> None:
    assert messages.read_client_first(b"n,,n=u,r=" + b"x" * messages.MAX_NONCE).nonce == "x" * messages.MAX_NONCE


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("", "other-error"),
        ("c=biws,r=x", "other-error"),
        (f"p={PROOF}", "other-error"),
        (f"c=biws,p={PROOF}", "other-error"),
        (f"r=x,c=biws,p={PROOF}", "other-error"),
        (f"c=,r=x,p={PROOF}", "other-error"),
        (f"c=biws,r=x y,p={PROOF}", "other-error"),
        (f"c=biws,r=x,p={PROOF},z=1", "invalid-encoding"),
        (f"c=biws,r=x,p={PROOF},p={PROOF}", "other-error"),
        (f"c=biws,r=x,c=eSws,p={PROOF}", "other-error"),
        (f"c=biws,r=x,m=1,p={PROOF}", "extensions-not-supported"),
        (f"m=1,c=biws,r=x,p={PROOF}", "extensions-not-supported"),
        ("c=biws,r=x,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts", "invalid-encoding"),
        ("c=biws,r=x,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Tt=", "invalid-encoding"),
        ("c=biws,r=x,p=v0X8v3Bz 2T0CJGbJQyF0X+HI4Ts=", "invalid-encoding"),
        (f"c=biws,r=x,p={PROOF}\n", "invalid-encoding"),
        (f"c=biws,r=x\0,p={PROOF}", "invalid-encoding"),
    ],
)
def test_client_final_is_refused_with_the_error_of_the_rfc(message: str, error: str) -> None:
    with pytest.raises(Malformed) as refused:
        messages.read_client_final(message.encode())
    assert refused.value.error == ServerError(error)


def test_client_final_may_have_extensions_before_its_proof() -> None:
    assert messages.read_client_final(f"c=biws,r=x,z=1,p={PROOF}".encode()).without_proof == "c=biws,r=x,z=1"


@pytest.mark.parametrize(
    "message",
    [
        "",
        "r=x",
        "r=x,s=AAAA",
        "s=AAAA,r=x,i=1",
        "r=x,s=AAA,i=1",
        "r=x,s=AAAA,i=0",
        "r=x,s=AAAA,i=-1",
        "r=x,s=AAAA,i=1,i=2",
        "m=1,r=x,s=AAAA,i=1",
        "r=x,s=AAAA,i=١",
        "r=x,s=AAAA,i=12345678901",
        "e=other-error",
    ],
)
def test_server_first_is_refused(message: str) -> None:
    with pytest.raises(Malformed):
        messages.read_server_first(message.encode())


def test_server_final_is_a_signature_or_an_error_in_printable_ascii() -> None:
    assert messages.read_server_final(b"v=AAAA,z=1") == bytes(3)
    assert messages.read_server_final("e=nö\n,z=1".encode()) == "n??"


@pytest.mark.parametrize("message", ["", "v=", "v=AAA", "v=AAAA,v=AAAA", "v=AAAA,m=1", "x=AAAA", "e="])
def test_server_final_is_refused(message: str) -> None:
    with pytest.raises(Malformed):
        messages.read_server_final(message.encode())


def test_nonces_are_new_each_time_and_may_stand_in_a_message() -> None:
    nonces = {messages.fresh_nonce() for _ in range(100)}
    assert len(nonces) == 100
    assert all(len(base64.decode(nonce) or b"") >= 18 for nonce in nonces)
    assert all(messages.read_client_first(f"n,,n=u,r={nonce}".encode()).nonce == nonce for nonce in nonces)


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1))
def test_every_name_comes_back(name: str) -> None:
    written = messages.write_name(name)
    assert messages.read_name(written) == name
    assert "," not in written


READERS: list[Callable[[bytes], object]] = [
    messages.read_client_first,
    messages.read_client_final,
    messages.read_server_first,
    messages.read_server_final,
]
ALPHABET = st.lists(
    st.sampled_from(["n", "y", "p=tls-unique", ",", "a=", "n=", "r=", "c=biws", "s=AAAA", "i=1", "v=", "e=", "m=", "p=", "x", "=2C", "é"])
)


@given(st.binary() | ALPHABET.map(lambda parts: "".join(parts).encode()), st.sampled_from(READERS))
def test_any_bytes_are_a_message_or_malformed_in_words_of_our_own(message: bytes, read: Callable[[bytes], object]) -> None:
    try:
        read(message)
    except Malformed as fault:
        why = str(fault)
    else:
        return
    assert why.startswith("SCRAM with")
    assert why.isascii()
