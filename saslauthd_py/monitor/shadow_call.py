"""One look into the shadow database as a worker takes it: the account, its hash by our schemes, and what the dates allow.

Every call verifies once: the account's own hash, or one that nobody's secret matches and that costs what most of the machine's
hashes do (rule D6). The dates count only once the secret was right, so that nobody else is told of them.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import suppress
from functools import lru_cache
from itertools import islice

from saslauthd_py import passwords
from saslauthd_py.config.settings import ShadowSettings
from saslauthd_py.credential import Encoding
from saslauthd_py.monitor import accounts, hashes
from saslauthd_py.monitor.accounts import Account, Shadow
from saslauthd_py.monitor.hashes import Database, Found
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.wire.monitor import Answer, Call, Standing

FILE = "/etc/shadow"
"""Where the common kind of hash is counted; accounts are looked up wherever nsswitch.conf(5) says."""

_DAY = 86400
_SHADOWED = b"x"
_SAMPLE = 2000
"""Lines of FILE that are counted: 20 ms of work, after a change of the file."""


def answer(settings: ShadowSettings, call: Call) -> Answer:
    """Make the call. `expires` in the answer is when the account or its password ends."""
    started = time.monotonic_ns()
    decoy = _decoy(_mark())
    found = hashes.find(settings, call, _SHADOW)
    standing = hashes.compare(found, call.secret, decoy)
    end = 0
    if standing is Standing.RIGHT and found.entry is not None:
        standing = judge(found.entry, int(time.time()) // _DAY)
        end = ends(found.entry) if standing is Standing.RIGHT else 0
    return hashes.answered(call, found, standing, started, end)


def judge(entry: Shadow, today: int) -> Standing:
    """What the dates say on the day `today` (since 1970, UTC), as pam_unix does (passverify.c, check_shadow_expiry).

    An account ends with the beginning of its day, and 0 is such a day. A password that has run out is no login, also in the days of
    grace (`inactive`) in which it could still be changed at a terminal; so those days make no difference here.
    """
    if entry.expires != -1 and today >= entry.expires:
        return Standing.ACCOUNT_EXPIRED
    if entry.changed == 0:
        return Standing.CHANGE_FORCED
    if _ages(entry) and today - entry.changed > entry.maximum:
        return Standing.PASSWORD_EXPIRED
    return Standing.RIGHT


def ends(entry: Shadow) -> int:
    """The Unix time at which `judge` changes its mind about a good account; 0: never."""
    days = [entry.expires] if entry.expires != -1 else []
    if _ages(entry):
        days.append(entry.changed + entry.maximum + 1)
    return max(min(days, default=0), 0) * _DAY


def _ages(entry: Shadow) -> bool:
    """Whether the password runs out at all; shadow(5): not where one of the two fields is empty (pam_unix takes -1 for a day there)."""
    return entry.changed != -1 and entry.maximum != -1


def _look_up(login: bytes) -> tuple[Account | None, Shadow | None]:
    return accounts.find_account(login), accounts.find_shadow(login)


def _record(account: Account, entry: Shadow | None) -> Found:
    """The text to verify: of the shadow entry, or of passwd itself where that does not send there."""
    if account.password != _SHADOWED:
        text = account.password.decode("latin-1")
        elsewhere = not text or text[0] in "*!"  # such as a name service that keeps its passwords to itself
        return Found(standing=Standing.NO_PASSWORD) if elsewhere else Found(text, account=account.name)
    if entry is None:
        return Found(standing=Standing.BROKEN)
    text = entry.password.decode("latin-1")
    if not text:
        return Found(standing=Standing.NO_PASSWORD)
    if text[0] in "*!":
        return Found(text.lstrip("*!"), Standing.LOCKED)
    return Found(text, account=account.name, entry=entry)


_SHADOW = Database(_look_up, _record)


def _mark() -> tuple[int, int, int] | None:
    """Another one after every change of FILE."""
    try:
        seen = os.stat(FILE)
    except OSError:
        return None
    return seen.st_ino, seen.st_mtime_ns, seen.st_size


@lru_cache(maxsize=1)
def _decoy(_mark: tuple[int, int, int] | None) -> Encoding:
    """A hash that nobody's secret matches, of the kind that most in FILE have; of a usual kind where it has none."""
    profiles: Counter[str] = Counter()
    with suppress(OSError), open(FILE, encoding="latin-1") as lines:
        for line in islice(lines, _SAMPLE):
            with suppress(BrokenRecord, IndexError):
                profiles[passwords.cost(passwords.recognise(line.split(":")[1].lstrip("!"))).profile] += 1
    common = profiles.most_common(1)
    return passwords.decoy(common[0][0] if common else passwords.cost_to_make("sha512crypt").profile)
