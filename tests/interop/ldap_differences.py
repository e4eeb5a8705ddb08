"""Where our daemon answers otherwise than stock `saslauthd -a ldap` that was given the same saslauthd.conf: each kind, and why it is meant.

A difference that is of no kind here is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from tests.interop import differing
from tests.interop import directory_tree as tree
from tests.interop.differing import ACCEPTED, OUTAGE, REFUSED
from tests.interop.ldap_logins import USERS, Attempt

TAKEN = 127
"""Bytes of a password that stock takes."""

_IN_A_DN = re.compile(rb'[,+"\\<>;=]|^[# ]| $')
"""What means something in a DN."""

_UNKNOWN_TO_STOCK = re.compile(r"\{(?!(?:CRYPT|UNIX|S?MD5|S?SHA)\})", re.IGNORECASE)
_PEOPLE = (*tree.PERSONS, *map(tree.numbered, range(1, USERS + 1)))


@dataclass(frozen=True)
class Seen:
    """A login to which the two said different things. `keys` are those of the saslauthd.conf; where it `fails`, stock accepts nobody."""

    keys: Mapping[str, str]
    fails: bool
    attempt: Attempt
    answers: tuple[str, str]

    @cached_property
    def people(self) -> tuple[tree.Person, ...]:
        """Those whose name it is, as a directory compares names: one, none, or the twins."""
        login = self.attempt.login.decode("latin-1")
        names = {name.encode("latin-1").decode(errors="replace").casefold() for name in (login, login.rpartition("@")[0])}
        return tuple(person for person in _PEOPLE if person.uid.casefold() in names)

    @property
    def right(self) -> bool:
        """Whether the password is that of the one whose name it is."""
        return any(self.attempt.secret.decode("latin-1") in _passwords(person) for person in self.people)

    @property
    def custom(self) -> bool:
        """Whether the password is compared, and not bound with."""
        return self.keys.get("auth_method") == "custom"

    @property
    def fastbind(self) -> bool:
        """Whether the DN is made of the login."""
        return self.keys.get("auth_method") == "fastbind"

    def template_has(self, pattern: str) -> bool:
        """Whether what finds the user has such a token."""
        return any(re.search(pattern, self.keys.get(key, "")) for key in ("filter", "search_base"))

    def stores(self, pattern: re.Pattern[str]) -> bool:
        """Whether the directory holds such a password of that name."""
        return any(pattern.match(value) for person in self.people for value in person.stored or ())


Kind = differing.Kind[Seen]

KINDS = (
    Kind(
        "an outage is told as one",
        "nobody could judge the password, and NO would make clients throw it away; the cause stands in our log",
        (OUTAGE,),
        lambda seen: seen.fails and "group_filter" not in seen.keys,
    ),
    Kind(
        "two entries of one name",
        "the directory or the filter is at fault and not the user, so it is an outage; stock tells NO, and the cause at debug level alone",
        (OUTAGE,),
        lambda seen: seen.keys["search_base"] != tree.PEOPLE and set(tree.TWINS) <= set(seen.people),
    ),
    Kind(
        "long passwords",
        f"stock cuts a password after {TAKEN} bytes: a longer right one is refused, and behind one of that length anything may follow",
        (ACCEPTED, REFUSED),
        lambda seen: len(seen.attempt.secret) > TAKEN,
    ),
    Kind(
        "NUL",
        "stock takes what stands before a NUL for the whole name or password",
        (REFUSED,),
        lambda seen: b"\0" in seen.attempt.login + seen.attempt.secret,
    ),
    Kind(
        "spaces that a directory does not see",
        "' alice' would be alice under another account, with guesses of its own (rule B1)",
        (REFUSED,),
        lambda seen: seen.attempt.login != seen.attempt.login.strip(b" ") or b"  " in seen.attempt.login,
    ),
    Kind(
        "%d without a domain in the login",
        "it is the realm, as the original's documentation says; stock puts nothing there",
        (ACCEPTED,),
        lambda seen: b"@" not in seen.attempt.login and seen.template_has("%d"),
    ),
    Kind(
        "a domain in the login and a realm beside it",
        "the realm is the realm, and the login is taken as it is (rule B5); stock takes it apart at its first @ for %U, %d and %1",
        (REFUSED,),
        lambda seen: b"@" in seen.attempt.login and bool(seen.attempt.realm) and seen.template_has("%[Ud1-9]"),
    ),
    Kind(
        "a domain in the login and no realm",
        "it is the realm, as libsasl has it, and %u of a saslauthd.conf is what stands before it; a note tells how to write it otherwise",
        (ACCEPTED,),
        lambda seen: b"@" in seen.attempt.login and not seen.attempt.realm,
    ),
    Kind(
        "a DN that is made of the login",
        "stock escapes for a filter: a comma in a login leads to another branch, and whoever has one in the name cannot log in",
        (REFUSED, ACCEPTED),
        lambda seen: seen.fastbind and bool(_IN_A_DN.search(seen.attempt.login)),
    ),
    Kind(
        "a user in two groups",
        "one is enough; stock takes a second one for an error and says NO",
        (ACCEPTED,),
        lambda seen: seen.keys.get("group_match_method") == "filter" and bool({tree.BOTH, tree.ALICE} & set(seen.people)),
    ),
    Kind(
        "a group's filter without its method",
        "stock compares with the DN of no group, and refuses all; here the filter is asked, and a note tells so",
        (ACCEPTED,),
        lambda seen: "group_filter" in seen.keys and "group_match_method" not in seen.keys,
    ),
    Kind(
        "custom: a hash as the password",
        "stock compares what has a label that it does not know: whoever reads the directory logs in with what stands there",
        (REFUSED, ("OK", "closed")),
        lambda seen: seen.custom and bool(_UNKNOWN_TO_STOCK.match(seen.attempt.secret.decode("latin-1"))),
    ),
    Kind(
        "custom: schemes that stock does not know",
        "{SSHA512}, {ARGON2} and {CLEARTEXT} are verified; one that nobody knows is an outage",
        (ACCEPTED, OUTAGE),
        lambda seen: seen.custom and seen.stores(_UNKNOWN_TO_STOCK),
    ),
    Kind(
        "custom: a password that stands there without any label",
        "nothing says whether it is clear text or a hash of some scheme: an outage; stock compares it letter by letter",
        (OUTAGE, ("OK", "closed")),
        lambda seen: seen.custom and tree.CLEAR in seen.people,
    ),
    Kind(
        "custom: two passwords",
        "each is one; stock looks at the last that the server sends",
        (ACCEPTED,),
        lambda seen: seen.custom and tree.TWO_PASSWORDS in seen.people,
    ),
)


def kind_of(seen: Seen) -> Kind | None:
    """The first that it is of. None: it is a fault; so is a login that we accept with any but the right password."""
    if seen.answers[1] == "OK" and not seen.right:
        return None
    return differing.first(KINDS, seen.answers, seen)


def _passwords(person: tree.Person) -> tuple[str, ...]:
    return ("first", "second") if person == tree.TWO_PASSWORDS else (person.password.encode().decode("latin-1"),)
