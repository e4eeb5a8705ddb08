"""RFC 4616 and draft-murchison-sasl-login-00 as exchanges: PLAIN and LOGIN, with an initial response and without."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.mechanisms import login, plain
from saslauthd_py.mechanisms.exchange import Begin, Challenge, Failed, NeedPassword, Step
from saslauthd_py.secret import Secret

KURT = b"Ursel\0Kurt\0xipj3plmq"  # RFC 4616 section 4


def responses(begin: Begin, *messages: bytes) -> Step:
    """The step after these responses to challenges."""
    step = begin(None)
    for message in messages:
        assert isinstance(step, Challenge)
        step = step.receive(message)
    return step


def test_plain_takes_its_message_as_an_initial_response() -> None:
    assert plain.begin(KURT) == NeedPassword("Ursel", "Kurt", Secret(b"xipj3plmq"))


def test_plain_without_an_initial_response_asks_for_it_with_an_empty_challenge() -> None:
    step = plain.begin(None)
    assert isinstance(step, Challenge)
    assert step.message == b""
    assert step.receive(KURT) == NeedPassword("Ursel", "Kurt", Secret(b"xipj3plmq"))


def test_an_empty_initial_response_of_plain_is_a_malformed_message_and_not_a_missing_one() -> None:
    assert plain.begin(b"") == Failed("not PLAIN: 0 NUL in it, not the two of authzid NUL authcid NUL password")


@pytest.mark.parametrize("end", range(len(KURT)))
def test_plain_cut_anywhere_is_never_a_whole_name_with_an_empty_password(end: int) -> None:
    step = plain.begin(KURT[:end])
    if end > KURT.rindex(b"\0") + 1:
        assert step == NeedPassword("Ursel", "Kurt", Secret(KURT[KURT.rindex(b"\0") + 1 : end]))
    else:
        assert isinstance(step, Failed)


@pytest.mark.parametrize("nothing", [None, b""])
def test_login_prompts_for_name_and_password(nothing: bytes | None) -> None:
    name = login.begin(nothing)
    assert isinstance(name, Challenge)
    assert name.message == b"Username:"
    password = name.receive("jürgen@example.org".encode())
    assert isinstance(password, Challenge)
    assert password.message == b"Password:"
    assert password.receive(b"p\xe4ss word") == NeedPassword("", "jürgen@example.org", Secret(b"p\xe4ss word"))


def test_login_takes_the_name_as_an_initial_response() -> None:
    password = login.begin(b"tim")
    assert isinstance(password, Challenge)
    assert password.message == b"Password:"
    assert password.receive(b"secret") == NeedPassword("", "tim", Secret(b"secret"))


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([b""], "LOGIN with an empty name"),
        ([b"tim\0"], "LOGIN with a NUL in its name"),
        ([b"\xff"], "LOGIN with a name that is not UTF-8"),
        ([b"tim", b""], "LOGIN with an empty password"),
        ([b"tim", b"good\0x"], "LOGIN with a NUL in its password"),
    ],
)
def test_login_refuses_a_bad_message(messages: list[bytes], why: str) -> None:
    assert responses(login.begin, *messages) == Failed(why)


def test_an_aborted_exchange_leaves_nothing_behind_for_the_next() -> None:
    aborted = responses(login.begin, b"tim")
    again = login.begin(None)
    assert isinstance(aborted, Challenge)
    assert isinstance(again, Challenge)
    assert again.message == b"Username:"
    with pytest.raises(dataclasses.FrozenInstanceError):
        aborted.message = b"other"  # type: ignore[misc]  # frozen is what is shown


def test_no_step_shows_the_password() -> None:
    steps = [plain.begin(KURT), responses(login.begin, b"tim", b"xipj3plmq"), plain.begin(b"\0Kurt\0xipj3plmq\0")]
    assert "xipj3plmq" not in repr(steps)


def test_a_step_does_not_show_what_goes_on_behind_it() -> None:
    assert repr(login.begin(b"tim")) == "Challenge(message=b'Password:')"


@given(st.none() | st.binary(), st.lists(st.binary(), max_size=3), st.sampled_from([plain.begin, login.begin]))
def test_any_messages_end_in_a_failure_or_with_exactly_what_was_sent(initial: bytes | None, messages: list[bytes], begin: Begin) -> None:
    sent = [] if initial is None else [initial]
    step = begin(initial)
    for message in messages:
        if not isinstance(step, Challenge):
            break
        sent.append(message)
        step = step.receive(message)
    if isinstance(step, NeedPassword):
        parts = [step.authcid.encode(), step.secret.reveal()]
        whole = [*filter(None, sent)] if begin is login.begin else sent[-1].split(b"\0", 1)[1].split(b"\0")
        assert whole == parts
        assert all(parts)
    else:
        assert isinstance(step, Challenge | Failed)
