"""One look into the password database without the shadow file, as a worker takes it: passwd(5), NIS or LDAP through getpwnam(3).

What most machines have there is an `x`, which sends to the shadow file, and is no password here: that matches nothing. Every call
verifies once: the account's own hash, or one that nobody's secret matches, of the kind that this worker has met most (rule D6).
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from functools import lru_cache

from saslauthd_py import passwords
from saslauthd_py.config.settings import GetpwentSettings
from saslauthd_py.credential import Encoding
from saslauthd_py.monitor import accounts, hashes
from saslauthd_py.monitor.accounts import Account, Shadow
from saslauthd_py.monitor.hashes import Database, Found
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.wire.monitor import Answer, Call, Standing

_SHADOWED = "x"

_met: Counter[str] = Counter()
"""How many logins met each kind of hash: a name service need not tell all that it has, and a file may have none."""


def answer(settings: GetpwentSettings, call: Call) -> Answer:
    """Make the call. No date is judged: this database has none."""
    started = time.monotonic_ns()
    found = hashes.find(settings, call, _PASSWD)
    _count(found.text)
    return hashes.answered(call, found, hashes.compare(found, call.secret, _decoy(_common())), started)


def _look_up(login: bytes) -> tuple[Account | None, Shadow | None]:
    return accounts.find_account(login), None


def _record(account: Account, _: Shadow | None) -> Found:
    text = account.password.decode("latin-1")
    hashed = text.lstrip("*!")
    if hashed in {"", _SHADOWED}:
        return Found(standing=Standing.NO_PASSWORD)
    return Found(text, account=account.name) if hashed == text else Found(hashed, Standing.LOCKED)


_PASSWD = Database(_look_up, _record)


def _count(text: str) -> None:
    with suppress(BrokenRecord):
        _met[passwords.cost(passwords.recognise(text)).profile] += 1


def _common() -> str:
    common = _met.most_common(1)
    return common[0][0] if common else passwords.cost_to_make("sha512crypt").profile


@lru_cache(maxsize=4)
def _decoy(profile: str) -> Encoding:
    return passwords.decoy(profile)
