"""Where our daemon answers otherwise than stock saslauthd with the same accounts: each kind, and why it is meant. README.md has this table.

A difference that is of no kind here is a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from saslauthd_py import identity
from saslauthd_py.identity import InvalidIdentity
from tests.interop import conformance_accounts as accounts
from tests.interop import differing
from tests.interop.conformance_accounts import Person
from tests.interop.conformance_conversations import Conversation
from tests.interop.differing import ACCEPTED, OUTAGE, REFUSED
from tests.interop.mux_client import CLOSED, WAITS

SASLDB, SHADOW = "sasldb", "shadow"
_MOST = 256
"""Bytes of a field in stock."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A conversation in which the two answered otherwise, `answers`, with that mechanism; `compat`: ours had compat_limits."""

    mechanism: str
    compat: bool
    said: Conversation
    answers: tuple[str, str]

    @property
    def person(self) -> Person | None:
        """Whom we take the login for."""
        login, realm = self.said.login, self.said.realm
        if not realm and b"@" in login:
            login, _, realm = login.rpartition(b"@")
        home = realm.decode(errors="surrogateescape").lower() or accounts.HOST.realm
        people = accounts.SASLDB if self.mechanism == SASLDB else accounts.SHADOW
        return next((one for one in people if one.login == login and (self.mechanism == SHADOW or one.realm.lower() == home)), None)

    @property
    def right(self) -> bool:
        """Whether the password is that of whom we take the login for."""
        return self.person is not None and accounts.same(self.said.secret, self.person.secret)

    def of(self, *people: Person) -> bool:
        """Whether it is one of these people, all of whom are in passwd."""
        return self.mechanism == SHADOW and self.person in people

    def impossible(self) -> bool:
        """Whether no account can have that name or realm (rule B5)."""
        try:
            identity.key(identity.parse(self.said.login, self.said.realm))
        except InvalidIdentity:
            return True
        return False


def _kind(name: str, why: str, applies: Callable[[Seen], bool], *answers: tuple[str, str]) -> differing.Kind[Seen]:
    return differing.Kind(name, why, answers, applies)


KINDS = (
    _kind(
        "half a request, and nothing more",
        "closed after `deadline`; the original waits for ever, and five such clients stop it",
        lambda seen: not seen.said.whole,
        (WAITS, CLOSED),
    ),
    _kind(
        "NUL in a field",
        "refused; the original takes what stands before it, and `good\\0x` is a right password",
        lambda seen: any(b"\0" in part for part in seen.said.fields),
        REFUSED,
    ),
    _kind(
        "an odd field before a half request's end",
        "NO as soon as the field is there; the original reads on first",
        lambda seen: (
            not seen.said.whole and (any(b"\0" in part for part in seen.said.fields) or not seen.said.login or not seen.said.secret)
        ),
        (CLOSED, "NO"),
    ),
    _kind(
        "fields over 256 bytes",
        "taken, up to 16 KiB a request; `compat_limits = true` refuses them as the original does",
        lambda seen: not seen.compat and any(len(part) > _MOST for part in seen.said.fields),
        ACCEPTED,
        OUTAGE,
        (WAITS, CLOSED),
    ),
    _kind(
        "names that no account can have",
        "not UTF-8, with control characters, over 255 bytes, or with a realm that is no domain name: refused",
        Seen.impossible,
        REFUSED,
    ),
    _kind(
        "alice@example.org with an empty realm",
        "split at the last @, as libsasl does before it asks; the original looks for a user of that whole name",
        lambda seen: b"@" in seen.said.login and not seen.said.realm,
        ACCEPTED,
        REFUSED,
    ),
    _kind(
        "capitals in a realm",
        "sasldb: a domain is the same in either case",
        lambda seen: seen.mechanism == SASLDB and seen.person is not None and seen.person.realm.encode() != seen.said.realm,
        ACCEPTED,
    ),
    _kind(
        "accents typed in another way",
        "one password in two forms of Unicode: phones and desktops send different ones",
        lambda seen: seen.person is not None and seen.said.secret != seen.person.secret,
        ACCEPTED,
    ),
    _kind(
        "users of the system",
        "shadow: root and users below `min_uid` (1000) are refused",
        lambda seen: seen.of(accounts.ROOT, accounts.SYSTEM),
        REFUSED,
    ),
    _kind(
        "a password that must be changed first",
        "shadow: refused, as pam_unix does (`chage -d 0`)",
        lambda seen: seen.of(accounts.FORCED),
        REFUSED,
    ),
    _kind(
        "the day on which an account expires",
        "shadow: it is over when that day begins (UTC), as for pam_unix; the original lets in until it ends",
        lambda seen: seen.of(*accounts.LAST_DAY),
        REFUSED,
    ),
    _kind(
        "more than eight letters, and a DES hash",
        "shadow: refused, for that hash is of the first eight alone; the original takes anything behind them: set these passwords anew",
        lambda seen: seen.of(accounts.OLD),
        REFUSED,
    ),
    _kind(
        "a hash that stands in passwd itself",
        "shadow: it is verified, as pam_unix does; the original wants a line in /etc/shadow",
        lambda seen: seen.of(accounts.IN_PASSWD),
        ACCEPTED,
    ),
    _kind(
        "a line that is broken",
        "shadow: no line in /etc/shadow, or no known hash: an outage, and the log says whose; NO would make phones forget a password",
        lambda seen: seen.of(*accounts.BROKEN),
        OUTAGE,
    ),
)


def kind_of(seen: Seen) -> differing.Kind[Seen] | None:
    """The first that it is of. None: it is a fault; so is a login that we accept with any but the right password."""
    if seen.answers[1] == "OK" and not seen.right:
        return None
    return differing.first(KINDS, seen.answers, seen)
