"""Logins by the thousand for two daemons that should give the same answers: right ones, wrong ones, and those that try something.

Each kind is a function of a random number generator; the same seed makes the same logins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from saslauthd_py.secret import Secret
from saslauthd_py.wire.saslauthd import Request, encode
from tests.interop import directory_tree as tree

USERS = 40
"""How many numbered people the directory must have."""

REALMS = (
    *(tree.DOMAIN, "other.test", "EXAMPLE.test", "", "mail.example.test", "nowhere.invalid", "test", "example..test", "example.test."),
    *("*", "*.test", "example.test)(uid=*", "x,dc=example.test", "example+cn=x.test", "büro.test", "%u", "@example.test"),
)
SERVICES = ("smtp", "imap", "alice", "", "*", "a*", "smtp)(uid=*", "smtp))(|(cn=*", "SMTP", "\\2a", "ü")
_MOST = 0.8
"""The part of the logins that come as a mail server sends them: the person's own realm, the service smtp."""

INJECTIONS = (
    "*",
    "%s*",
    "*%s",
    "%s)(uid=*",
    "%s)(|(uid=*))",
    "*)(uid=*))(|(uid=*",
    "%s))(&(objectClass=*",
    "%s)(!(uid=nosuch))",
    "%s\\2a",
    "\\2a",
    "%s\\00",
    "%s\\",
    "(%s)",
    "|(uid=%s)",
    "%s,ou=people,dc=example,dc=test",
    "%s,ou=staff,dc=example,dc=test?",
    "%s+cn=x",
    "nosuch+uid=%s",
    "#04%s",
    '"%s"',
    "%s;uid=*",
    "uid=%s",
    "%%u",
    "%s%%r",
    "cn=admin,dc=example,dc=test",
)
"""%s: somebody's uid, whose password comes with it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request. `kind` says what it tries."""

    kind: str
    login: bytes
    secret: bytes
    service: bytes
    realm: bytes

    def encoded(self) -> bytes:
        """As it is sent."""
        return encode(Request(self.login, Secret(self.secret), self.service, self.realm))

    def __str__(self) -> str:
        return f"login={self.login!r} realm={self.realm!r} service={self.service!r} password={self.secret!r}"


def _plain(login: str, secret: str, realm: str = tree.DOMAIN) -> Attempt:
    return Attempt("plain", login.encode(), secret.encode(), b"smtp", realm.encode())


PLAIN = (
    _plain(tree.ALICE.uid, tree.ALICE.password),
    _plain(tree.ALICE.uid, tree.ALICE.password + "\0x"),
    _plain(f" {tree.ALICE.uid}", tree.ALICE.password),
    _plain(tree.ALICE.mail, tree.ALICE.password),
    _plain(tree.ALICE.mail, tree.ALICE.password, ""),
    _plain(f"{tree.CHIEF.uid},ou=admins", tree.CHIEF.password),
    *(_plain(person.uid, person.password) for person in (*tree.PERSONS, tree.numbered(1), tree.numbered(2))),
    _plain(tree.CUT.uid, tree.CUT.password + "x"),
)
"""Everybody's, and one for everything in which two daemons may differ."""


@dataclass(frozen=True, slots=True)
class _Words:
    """What a kind makes of a person: the name and the password it sends."""

    login: str | bytes
    secret: str | bytes


def attempts(seed: int, number: int) -> Iterator[Attempt]:
    """So many after the PLAIN ones, all kinds in turn."""
    yield from PLAIN
    random = Random(seed)  # noqa: S311 - the same logins for both daemons, not a secret
    kinds = list(KINDS.items())
    for turn in range(number):
        kind, made = kinds[turn % len(kinds)]
        person = _somebody(random)
        words = made(random, person)
        usual = random.random() < _MOST
        realm = person.domain if usual else random.choice(REALMS)
        service = "smtp" if usual else random.choice(SERVICES)
        yield Attempt(kind, _bytes(words.login), _bytes(words.secret), service.encode(), realm.encode())


def _somebody(random: Random) -> tree.Person:
    """One of those with a story as often as one of the many."""
    return random.choice(tree.PERSONS) if random.random() < 0.5 else tree.numbered(random.randint(1, USERS))


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _right(random: Random, person: tree.Person) -> _Words:
    return _Words(person.uid, person.password or "any")


def _wrong(random: Random, person: tree.Person) -> _Words:
    changed = random.choice((person.password + "x", person.password[:-1] or "y", f" {person.password}", person.password.swapcase()))
    return _Words(person.uid, changed if changed != person.password else "wrong")


def _of_another(random: Random, person: tree.Person) -> _Words:
    return _Words(person.uid, _somebody(random).password or "any")


def _unknown(random: Random, person: tree.Person) -> _Words:
    return _Words(f"{person.uid}{random.randint(10000, 99999)}", person.password or "any")


def _empty(random: Random, person: tree.Person) -> _Words:
    return random.choice((_Words(person.uid, ""), _Words("", person.password)))


def _with_domain(random: Random, person: tree.Person) -> _Words:
    return _Words(f"{person.uid}@{random.choice((person.domain, random.choice(REALMS)))}", person.password or "any")


def _spelt_otherwise(random: Random, person: tree.Person) -> _Words:
    uid = random.choice((person.uid.upper(), person.uid.title(), f" {person.uid}", f"{person.uid} ", person.uid.replace(" ", "  ")))
    return _Words(uid, person.password or "any")


def _stored(random: Random, person: tree.Person) -> _Words:
    """What stands in the directory, as if it were the password."""
    keeper = random.choice([keeper for keeper in tree.PERSONS if keeper.stored])
    return _Words(keeper.uid, random.choice(keeper.stored or ("",)))


def _injection(random: Random, person: tree.Person) -> _Words:
    pattern = random.choice(INJECTIONS)
    return _Words(pattern.replace("%s", person.uid).replace("%%", "%"), person.password or "any")


def _dn_injection(random: Random, person: tree.Person) -> _Words:
    """What means something in a DN that is made by splicing."""
    uid = random.choice((f"{tree.CHIEF.uid},ou=admins", f"{tree.CHIEF.uid}, ou=admins", f"{tree.CHIEF.uid}\\2cou=admins", "chief"))
    return _Words(uid, tree.CHIEF.password)


def _odd_name(random: Random, person: tree.Person) -> _Words:
    """Bytes that no name has, without NUL."""
    odd = bytes(random.randint(1, 255) for _ in range(random.randint(1, 6)))
    where = random.randint(0, len(person.uid))
    uid = person.uid.encode()
    return _Words(random.choice((uid[:where] + odd + uid[where:], odd)), person.password or "any")


def _odd_password(random: Random, person: tree.Person) -> _Words:
    odd = bytes(random.randint(1, 255) for _ in range(random.randint(1, 40)))
    return _Words(person.uid, random.choice((odd, person.password.encode() + odd)))


def _nul(random: Random, person: tree.Person) -> _Words:
    secret, uid = person.password.encode() or b"any", person.uid.encode()
    return random.choice((_Words(uid, secret + b"\0x"), _Words(uid + b"\0x", secret), _Words(uid, b"\0" + secret)))


def _long_name(random: Random, person: tree.Person) -> _Words:
    return _Words(person.uid + random.choice("x)* ") * random.choice((100, 240, 256, 300)), person.password or "any")


def _long_password(random: Random, person: tree.Person) -> _Words:
    keeper = random.choice((tree.LONG, tree.CUT, person))
    longer = keeper.password + "x" * random.choice((1, 100, 130))
    return _Words(keeper.uid, random.choice((keeper.password, longer, keeper.password[:127], keeper.password[:126])) or "any")


KINDS: dict[str, Callable[[Random, tree.Person], _Words]] = {
    "right": _right,
    "wrong password": _wrong,
    "right, once more": _right,
    "somebody else's password": _of_another,
    "unknown": _unknown,
    "empty": _empty,
    "domain in the login": _with_domain,
    "spelt otherwise": _spelt_otherwise,
    "the stored password": _stored,
    "injection": _injection,
    "injection into a DN": _dn_injection,
    "odd bytes in the name": _odd_name,
    "odd bytes in the password": _odd_password,
    "NUL": _nul,
    "long name": _long_name,
    "long password": _long_password,
}
