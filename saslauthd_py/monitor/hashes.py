"""One look for a stored hash as a worker takes it, whatever database keeps it.

Every call verifies once: the account's own hash, or one that nobody's secret matches (rule D6).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from saslauthd_py import passwords
from saslauthd_py.config.settings import WorkerSettings
from saslauthd_py.credential import Encoding, service_word
from saslauthd_py.monitor import accounts
from saslauthd_py.monitor.accounts import Account, Shadow
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.secret import Secret
from saslauthd_py.wire.monitor import Answer, Call, Refusal, Stage, Standing

_SOMEBODY, _NOBODY = b"root", b"no such user"


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to verify (empty: nothing), and the standing of an account that no secret fits (None: one may)."""

    text: str = field(default="", repr=False)
    standing: Standing | Refusal | None = None
    account: bytes = b""
    entry: Shadow | None = None


@dataclass(frozen=True, slots=True)
class Database:
    """`look_up` finds what is kept under a login, and raises OSError where nobody can tell; `record` reads it."""

    look_up: Callable[[bytes], tuple[Account | None, Shadow | None]]
    record: Callable[[Account, Shadow | None], Found]


def find(settings: WorkerSettings, call: Call, database: Database) -> Found:
    """What is kept for the login of this call. Never raises for what the system does.

    A name that is there and one that is not are looked up each time: the latter takes longer, for all sources are asked (rule D6).
    """
    if settings.services and service_word(call.service.decode("utf-8", "backslashreplace")) not in settings.services:
        return Found(standing=Refusal.SERVICE)
    if not accounts.is_login(call.login):
        return Found(standing=Refusal.NAME)
    try:
        account, entry = database.look_up(call.login)
        database.look_up(_SOMEBODY if account is None else _NOBODY)
    except OSError:
        return Found(standing=Standing.UNREADABLE)
    if accounts.is_denied(settings, call.login, account):
        return Found(standing=Refusal.DENIED)
    if account is None:
        return Found(standing=Standing.UNKNOWN)
    return database.record(account, entry)


def compare(found: Found, secret: Secret, decoy: Encoding) -> Standing | Refusal:
    """The standing of an account that no secret fits, else RIGHT, WRONG or BROKEN. The work is done whatever it is."""
    compared = _compared(found.text, secret, decoy)
    return compared if found.standing is None else found.standing


def answered(call: Call, found: Found, standing: Standing | Refusal, started: int, expires: int = 0) -> Answer:
    """What the front is told. `started` by time.monotonic_ns; `expires`: when the account or its password ends."""
    stage = Stage.REFUSED if isinstance(standing, Refusal) else Stage.SHADOW
    took = (time.monotonic_ns() - started) // 1000
    return Answer(call.id, stage, standing, took=took, expires=expires, account=found.account if standing is Standing.RIGHT else b"")


def _compared(text: str, secret: Secret, decoy: Encoding) -> Standing:
    """For an empty text, and one that was never a hash, the work alone."""
    try:
        encoding = passwords.recognise(text)
        return Standing.RIGHT if passwords.verify(encoding, secret) else Standing.WRONG
    except BrokenRecord:
        with suppress(BrokenRecord):
            passwords.verify(decoy, secret)
        return Standing.BROKEN
