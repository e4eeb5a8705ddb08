"""RFC 4616: the message of PLAIN."""

from __future__ import annotations

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.mechanisms.plain import MalformedPlain, PlainMessage, parse
from saslauthd_py.secret import Secret

NAMES = st.text(st.characters(exclude_characters="\0", codec="utf-8"))
SECRETS = st.binary(min_size=1).filter(lambda secret: b"\0" not in secret)


@pytest.mark.parametrize(
    ("message", "authzid", "authcid", "secret"),
    [
        (b"\0tim\0tanstaaftanstaaf", "", "tim", b"tanstaaftanstaaf"),  # RFC 4616 section 4, the first example
        (b"Ursel\0Kurt\0xipj3plmq", "Ursel", "Kurt", b"xipj3plmq"),  # the second
        (b64decode("dGVzdAB0ZXN0AHRlc3RwYXNz"), "test", "test", b"testpass"),  # RFC 4954 section 4.1
        ("\0jürgen\0pässword".encode(), "", "jürgen", "pässword".encode()),
        (b"\0tim\0p\xe4ssword", "", "tim", b"p\xe4ssword"),  # Latin-1, as old clients send it
        (b"\0 tim \0 ", "", " tim ", b" "),
    ],
)
def test_message_is_taken_apart(message: bytes, authzid: str, authcid: str, secret: bytes) -> None:
    assert parse(message) == PlainMessage(authzid, authcid, Secret(secret))


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"", "0 NUL"),
        (b"tim", "0 NUL"),
        (b"tim\0secret", "1 NUL"),
        (b"\0tim\0sec\0ret", "3 NUL"),
        (b"\0tim\0secret\0", "3 NUL"),
        (b"\0\0secret", "without an authcid"),
        (b"tim\0\0secret", "without an authcid"),
        (b"\0tim\0", "empty password"),
        (b"\0t\xefm\0secret", "not UTF-8"),
        (b"t\xefm\0tim\0secret", "not UTF-8"),
    ],
)
def test_what_is_no_message_is_refused_and_not_repeated(message: bytes, why: str) -> None:
    with pytest.raises(MalformedPlain, match=why) as refused:
        parse(message)
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


@given(NAMES, NAMES.filter(bool), SECRETS)
def test_every_message_comes_back(authzid: str, authcid: str, secret: bytes) -> None:
    assert parse(b"\0".join([authzid.encode(), authcid.encode(), secret])) == PlainMessage(authzid, authcid, Secret(secret))


@given(st.binary())
def test_any_bytes_are_a_message_or_malformed(message: bytes) -> None:
    try:
        parsed = parse(message)
    except MalformedPlain:
        return
    assert b"\0".join([parsed.authzid.encode(), parsed.authcid.encode(), parsed.secret.reveal()]) == message
