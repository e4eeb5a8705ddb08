"""draft-murchison-sasl-login-00: the two messages of LOGIN."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.mechanisms import login
from saslauthd_py.mechanisms.login import MalformedLogin
from saslauthd_py.secret import Secret


def test_messages_are_name_and_password_as_they_are() -> None:
    assert login.name("jürgen@example.org".encode()) == "jürgen@example.org"
    assert login.secret(b" p\xe4ss word ") == Secret(b" p\xe4ss word ")


@pytest.mark.parametrize(
    ("message", "why"), [(b"", "empty name"), (b"tim\0", "NUL in its name"), (b"\0tim\0secret", "NUL in its name"), (b"\xff", "not UTF-8")]
)
def test_bad_name_is_refused(message: bytes, why: str) -> None:
    with pytest.raises(MalformedLogin, match=why):
        login.name(message)


@pytest.mark.parametrize(("message", "why"), [(b"", "empty password"), (b"good\0x", "NUL in its password")])
def test_bad_password_is_refused_and_not_repeated(message: bytes, why: str) -> None:
    with pytest.raises(MalformedLogin, match=why) as refused:
        login.secret(message)
    assert "good" not in str(refused.value)


@given(st.binary())
def test_any_bytes_are_a_name_or_malformed(message: bytes) -> None:
    try:
        assert login.name(message).encode() == message
    except MalformedLogin:
        assert not message or b"\0" in message or message.decode(errors="replace").encode() != message


@given(st.binary())
def test_any_bytes_are_a_secret_or_malformed(message: bytes) -> None:
    try:
        assert login.secret(message).reveal() == message
    except MalformedLogin:
        assert not message or b"\0" in message
