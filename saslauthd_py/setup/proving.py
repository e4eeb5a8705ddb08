"""Whether logins work: a real one through every port of the mail server, and one with a wrong password, which must be refused."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from saslauthd_py.mta.smtp import Tried
from saslauthd_py.secret import Secret
from saslauthd_py.setup.account import Account

_PATIENCE = 2.0
"""Seconds for a mail server that has just taken its configuration."""

_PAUSE = 0.2
_REFUSED = 535
"""RFC 4954 section 6; what `mta.imap` calls IMAP's NO to a wrong password, too."""


@dataclass(frozen=True, slots=True)
class Door:
    """A port of a mail server. `attempt` logs in there with a name and a password."""

    name: str
    attempt: Callable[[str, Secret], Tried]


@dataclass(frozen=True, slots=True)
class Proved:
    """A port where the right password was taken, within so many seconds, and a wrong one refused."""

    name: str
    seconds: float


class Unproved(Exception):
    """It does not work. Its text is one line: at which port, and what was said there."""


def prove(doors: tuple[Door, ...], account: Account) -> tuple[Proved, ...]:
    """Log in through all of them at once. Raises Unproved."""
    with ThreadPoolExecutor(len(doors)) as trying:
        return tuple(trying.map(lambda door: _proved(door, account), doors))


def _proved(door: Door, account: Account) -> Proved:
    until = time.monotonic() + _PATIENCE
    while not (tried := door.attempt(account.login, account.secret)).ok:
        if time.monotonic() > until:
            raise Unproved(f"{door.name}: the right password is not taken: {_answer(tried)}")
        time.sleep(_PAUSE)
    wrong = door.attempt(account.login, Secret(secrets.token_urlsafe(18).encode()))
    if wrong.ok:
        raise Unproved(f"{door.name}: a wrong password is taken: whatever decides there, it is not the daemon")
    if wrong.step != "AUTH" or wrong.code != _REFUSED:
        raise Unproved(f"{door.name}: a wrong password is not refused as one: {_answer(wrong)}")
    return Proved(door.name, sum(tried.seconds.values()))


def _answer(tried: Tried) -> str:
    code = f"{tried.code} " if tried.code else ""
    return f"{tried.step}: {code}{tried.text.partition(chr(10))[0]}"
