"""`decode`: what is in a SASL message, and never the secret unless it is asked for."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.commands import invoke

SECRET = "Tr0ub4dor&3"
PLAIN = b64encode(f"\0tim@example.org\0{SECRET}".encode()).decode()
NAMES = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1)


def encoded(*messages: str | bytes) -> list[str]:
    return [b64encode(message.encode() if isinstance(message, str) else message).decode() for message in messages]


def test_plain_for_people() -> None:
    outcome = invoke("decode", PLAIN)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "mechanism      PLAIN\nauthcid        tim@example.org\nsecret length  11\n"


def test_plain_for_programs() -> None:
    outcome = invoke("decode", *encoded(f"admin\0tim\0{SECRET}"), "--json")
    assert json.loads(outcome.out) == {"mechanism": "PLAIN", "authzid": "admin", "authcid": "tim", "secret_length": 11}


def test_login_name_and_password() -> None:
    outcome = invoke("decode", *encoded("tim", SECRET), "--json")
    assert json.loads(outcome.out) == {"mechanism": "LOGIN", "authcid": "tim", "secret_length": 11}


def test_login_name_alone() -> None:
    outcome = invoke("decode", *encoded("tim"), "--mechanism", "login", "--json")
    assert json.loads(outcome.out) == {"mechanism": "LOGIN", "authcid": "tim"}


@pytest.mark.parametrize("message", [SECRET, "tim", b"p\xe4ss"])
def test_one_message_of_login_may_be_the_password_and_is_not_shown(message: str | bytes) -> None:
    length = len(message)
    outcome = invoke("decode", *encoded(message))
    assert (outcome.code, outcome.out, outcome.err) == (0, f"login: name or password of {length} bytes; --show-secret shows it\n", "")
    outcome = invoke("decode", *encoded(message), "--json")
    assert json.loads(outcome.out) == {"mechanism": "LOGIN", "name_or_password_length": length}
    shown = message.decode(errors="backslashreplace") if isinstance(message, bytes) else message
    outcome = invoke("decode", *encoded(message), "--show-secret")
    assert outcome.out == f"login: name or password of {length} bytes: {shown}\n"
    assert json.loads(invoke("decode", *encoded(message), "--show-secret", "--json").out)["name_or_password"] == shown


@pytest.mark.parametrize("messages", [["", PLAIN], encoded("tim", SECRET)])
def test_secret_is_shown_when_asked_for(messages: list[str]) -> None:
    words = [message for message in messages if message]
    assert SECRET not in invoke("decode", *words).out
    assert SECRET not in invoke("decode", *words, "--json").out
    assert f"secret         {SECRET}\n" in invoke("decode", *words, "--show-secret").out
    assert json.loads(invoke("decode", *words, "--show-secret", "--json").out)["secret"] == SECRET


def test_secret_that_is_not_utf8_is_shown_escaped() -> None:
    outcome = invoke("decode", *encoded(b"\0tim\0p\xe4ss"), "--show-secret", "--json")
    assert json.loads(outcome.out)["secret"] == "p\\xe4ss"


@pytest.mark.parametrize("words", [[], ["-"]])
def test_standard_input_keeps_a_secret_out_of_argv(words: list[str]) -> None:
    outcome = invoke("decode", *words, "--json", stdin=f"  {PLAIN}\r\n".encode())
    assert json.loads(outcome.out)["authcid"] == "tim@example.org"


def test_standard_input_takes_both_messages_of_login() -> None:
    outcome = invoke("decode", "--json", stdin="\n".join(encoded("tim", SECRET)).encode())
    assert json.loads(outcome.out)["secret_length"] == 11


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["YWxp*2U="], "argument 1 is not base64: a character or padding that does not belong there"),
        (["YWxpY2U"], "argument 1 is not base64: its length is no multiple of four: is all of it here?"),
        (["YWxpY2U=", "Zm9vYmFy===="], "argument 2 is not base64: a character or padding that does not belong there"),
        (["=YWx"], "argument 1 is not base64: a character or padding that does not belong there"),
        (["ÄÖÜ="], "argument 1 is not base64: a character or padding that does not belong there"),
        (["\udcff"], "argument 1 is not base64: its length is no multiple of four: is all of it here?"),
        (encoded("\0tim"), "not PLAIN: 1 NUL in it, not the two of authzid NUL authcid NUL password"),
        ([*encoded("tim"), "--mechanism", "plain"], "not PLAIN: 0 NUL in it, not the two of authzid NUL authcid NUL password"),
        ([PLAIN, "--mechanism", "login"], "LOGIN with a NUL in its name"),
        (encoded("tim", ""), "LOGIN with an empty password"),
    ],
)
def test_bad_data_is_65_and_one_line(words: list[str], line: str) -> None:
    outcome = invoke("decode", *words)
    assert (outcome.code, outcome.out, outcome.error) == (65, "", line)


@pytest.mark.parametrize("words", [["YQ==", "YQ==", "YQ=="], [PLAIN, PLAIN], ["YQ==", PLAIN]])
def test_too_many_messages_are_64(words: list[str]) -> None:
    outcome = invoke("decode", *words)
    assert (outcome.code, outcome.out) == (64, "")
    assert outcome.error.startswith(("LOGIN is two messages", "PLAIN is one message"))


def test_nothing_is_64() -> None:
    assert invoke("decode", stdin=b" \n").code == 64


def test_endless_input_is_65() -> None:
    assert invoke("decode", stdin=b"A" * 100_000).code == 65


@given(NAMES, NAMES, st.binary(min_size=1).filter(lambda secret: b"\0" not in secret))
def test_every_plain_message_is_told_from_login(authzid: str, authcid: str, secret: bytes) -> None:
    outcome = invoke("decode", *encoded(b"\0".join([authzid.encode(), authcid.encode(), secret])), "--json")
    expected = {"mechanism": "PLAIN", "authzid": authzid, "authcid": authcid, "secret_length": len(secret)}
    assert json.loads(outcome.out) == expected


@given(st.lists(st.text(st.characters(exclude_characters="-")), max_size=3), st.binary(), st.sampled_from(["plain", "login", "auto"]))
def test_any_words_give_an_answer_or_one_line(words: list[str], stdin: bytes, mechanism: str) -> None:
    outcome = invoke("decode", "--mechanism", mechanism, "--", *words, stdin=stdin)
    assert outcome.code in {0, 64, 65}
    assert outcome.error if outcome.code else not outcome.err


@given(NAMES)
def test_a_name_never_moves_the_cursor(name: str) -> None:
    shown = invoke("decode", "--mechanism", "login", *encoded(name)).out
    assert all(letter.isprintable() for letter in shown.replace("\n", "", 2))
    assert shown.count("\n") == 2
