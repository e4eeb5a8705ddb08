"""`decode` of SCRAM's messages: each field by its name, a proof or signature by its length; and nothing that may be a password."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.cli import scram_fields
from saslauthd_py.mechanisms.scram.messages import Malformed
from tests.cli.commands import invoke

NONCE = "rOprNGfwEbeRWgbNEkqO"
BOTH = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
PROOF = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
SIGNATURE = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
CLIENT_FIRST = f"n,,n=user,r={NONCE}"
SERVER_FIRST = f"r={BOTH},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
CLIENT_FINAL = f"c=biws,r={BOTH},p={PROOF}"
SERVER_FINAL = f"v={SIGNATURE}"
"""The exchange of RFC 7677 section 3."""

SHOWN: dict[str, dict[str, object]] = {
    "client_first": {"authzid": "", "authcid": "user", "nonce": NONCE, "channel_binding": "none"},
    "server_first": {"nonce": BOTH, "salt": "W22ZaJ0SNY7soEsUEjb6gQ==", "rounds": 4096},
    "client_final": {"gs2_header": "n,,", "nonce": BOTH, "proof_length": 32},
    "server_final": {"signature_length": 32},
}
MESSAGES = dict(zip(SHOWN, (CLIENT_FIRST, SERVER_FIRST, CLIENT_FINAL, SERVER_FINAL), strict=True))


def encoded(*messages: str | bytes) -> list[str]:
    return [b64encode(message.encode() if isinstance(message, str) else message).decode() for message in messages]


@pytest.mark.parametrize("mechanism", ["auto", "scram"])
def test_a_whole_exchange(mechanism: str) -> None:
    outcome = invoke("decode", "--mechanism", mechanism, *encoded(*MESSAGES.values()), "--json")
    assert (outcome.code, json.loads(outcome.out)) == (0, {"mechanism": "SCRAM"} | SHOWN)
    assert PROOF not in outcome.out
    assert SIGNATURE not in outcome.out


@pytest.mark.parametrize("kind", MESSAGES)
def test_each_message_alone(kind: str) -> None:
    outcome = invoke("decode", *encoded(MESSAGES[kind]), "--json")
    assert json.loads(outcome.out) == {"mechanism": "SCRAM", kind: SHOWN[kind]}


def test_for_people_a_message_is_a_line() -> None:
    outcome = invoke("decode", *encoded(CLIENT_FIRST, SERVER_FINAL))
    line = f"authcid=user nonce={NONCE} channel_binding=none"
    assert outcome.out == f"mechanism     SCRAM\nclient first  {line}\nserver final  signature_length=32\n"


def test_proof_and_signature_are_shown_when_asked_for() -> None:
    shown = json.loads(invoke("decode", *encoded(CLIENT_FINAL, SERVER_FINAL), "--show-secret", "--json").out)
    assert (shown["client_final"]["proof"], shown["server_final"]["signature"]) == (PROOF, SIGNATURE)


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (f"n,a=of=2Cfice,n=us=3Der,r={NONCE}", {"authzid": "of,fice", "authcid": "us=er", "channel_binding": "none"}),
        (f"y,,n=user,r={NONCE}", {"channel_binding": "none, though the client could: it believes that the server cannot"}),
        (f"p=tls-exporter,,n=user,r={NONCE}", {"authcid": "user", "channel_binding": "tls-exporter"}),
        (f"n,,n=user,r={NONCE},x=later", {"authcid": "user"}),
    ],
)
def test_what_the_first_message_can_say(message: str, fields: dict[str, str]) -> None:
    (shown,) = (value for name, value in json.loads(invoke("decode", *encoded(message), "--json").out).items() if name != "mechanism")
    assert fields.items() <= shown.items()


@pytest.mark.parametrize(
    ("binding", "shown"),
    [
        ("eSxhPW9mZmljZSw=", "y,a=office,"),
        (b64encode(b"p=tls-exporter,,\xff\xfe").decode(), "p=tls-exporter,, and 2 bytes of binding"),
    ],
)
def test_what_the_channel_binding_can_say(binding: str, shown: str) -> None:
    outcome = invoke("decode", *encoded(f"c={binding},r={BOTH},p={PROOF}"), "--json")
    assert json.loads(outcome.out)["client_final"]["gs2_header"] == shown


def test_the_server_s_error() -> None:
    outcome = invoke("decode", *encoded("e=invalid-proof"), "--json")
    assert json.loads(outcome.out) == {"mechanism": "SCRAM", "server_final": {"error": "invalid-proof"}}
    outcome = invoke("decode", "--mechanism", "scram", *encoded("e=no-resources"), "--json")
    assert json.loads(outcome.out)["server_final"] == {"error": "no-resources"}


@pytest.mark.parametrize("message", ["e=correct-horse", "v=cGFzcw==", "r=secret", "n,,secret", "c=secret", "p=secret,,n=a,r"])
def test_what_may_be_a_password_is_not_taken_for_scram(message: str) -> None:
    outcome = invoke("decode", *encoded(message))
    assert outcome.out == f"login: name or password of {len(message)} bytes; --show-secret shows it\n"


def test_a_message_that_is_not_scram_makes_login_of_both() -> None:
    assert json.loads(invoke("decode", *encoded(CLIENT_FIRST, "secret"), "--json").out)["mechanism"] == "LOGIN"


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("tim", "SCRAM without a GS2 header"),
        ("", "SCRAM without a GS2 header"),
        ("r=x,s=AAAA,i=many", "SCRAM with a round count that is no number"),
        ("c=biws,r=x", "SCRAM without a proof at its end"),
        (f"c=*,r=x,p={PROOF}", "SCRAM with a channel binding that is not base64"),
        (f"c=AAAA,r=x,p={PROOF}", "SCRAM with a channel binding that has no GS2 header"),
        ("v=*", "SCRAM with a signature that is not base64"),
        ("p=,,n=a,r=b", "SCRAM with a GS2 header that begins with none of n, y, p="),
        (b"n,,n=\xff,r=x", "SCRAM with a message that is not UTF-8"),
    ],
)
def test_what_is_not_scram_is_65(message: str | bytes, line: str) -> None:
    outcome = invoke("decode", "--mechanism", "scram", *encoded(message))
    assert (outcome.code, outcome.out, outcome.error) == (65, "", line)


def test_a_message_twice_is_64() -> None:
    outcome = invoke("decode", *encoded(SERVER_FINAL, SERVER_FINAL))
    assert (outcome.code, outcome.error) == (64, "SCRAM's server final message twice: give the messages of one exchange")


@given(st.lists(st.sampled_from(["n,", "y,", "p=x,", ",", "a=b", "n=u", "r=1", "s=AAAA", "i=1", "c=biws", "p=AAAA", "v=AAAA", "e=", "é"])))
def test_any_message_is_decoded_or_malformed(parts: list[str]) -> None:
    message = ",".join(parts).encode()
    try:
        kind, _ = scram_fields.decoded(message, proofs=True)
    except Malformed:
        assert not scram_fields.recognised(message)
    else:
        assert kind in MESSAGES
