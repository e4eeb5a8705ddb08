"""What a proof takes for one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from saslauthd_py.mta.smtp import Tried
from saslauthd_py.secret import Secret
from saslauthd_py.setup import proving
from saslauthd_py.setup.account import Account
from saslauthd_py.setup.proving import Door, Unproved, prove

ACCOUNT = Account("setup@example.test", Secret(b"right"))
YES, NO = Tried("AUTH", 235, "yes", {"AUTH": 0.5}), Tried("AUTH", 535, "no\nmore")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "_PATIENCE", 0.0)
    monkeypatch.setattr(proving, "_PAUSE", 0.0)


def door(right: Callable[[], Tried], wrong: Tried) -> Door:
    return Door("a port", lambda name, secret: right() if secret == ACCOUNT.secret and name == ACCOUNT.login else wrong)


def test_every_port_takes_the_right_password_and_refuses_a_wrong_one() -> None:
    one, other = prove((door(lambda: YES, NO), door(lambda: YES, NO)), ACCOUNT)
    assert (one.name, one.seconds, other.name) == ("a port", 0.5, "a port")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (NO, NO, "a port: the right password is not taken: AUTH: 535 no"),
        (Tried("connect", 0, "connection refused"), NO, "a port: the right password is not taken: connect: connection refused"),
        (YES, YES, "a port: a wrong password is taken: whatever decides there, it is not the daemon"),
        (YES, Tried("AUTH", 454, "later"), "a port: a wrong password is not refused as one: AUTH: 454 later"),
        (YES, Tried("EHLO", 535, "no"), "a port: a wrong password is not refused as one: EHLO: 535 no"),
    ],
)
def test_anything_else_is_none(right: Tried, wrong: Tried, said: str) -> None:
    with pytest.raises(Unproved) as caught:
        prove((door(lambda: YES, NO), door(lambda: right, wrong)), ACCOUNT)
    assert str(caught.value) == said


def test_a_mail_server_that_starts_its_processes_anew_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "_PATIENCE", 60.0)
    answers = iter([Tried("connect", 0, "connection refused"), NO, YES])
    assert prove((door(lambda: next(answers), NO),), ACCOUNT)[0].seconds == 0.5
