"""What a private slapd holds: people with passwords in every form, groups of every kind, and those whom a login trips over.

Everything stands below BASE. A test takes its person from here by name: `tree.LOCKED.uid`, `tree.numbered(7).password`.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import argon2

from saslauthd_py import passwords
from saslauthd_py.passwords.libcrypt import crypt
from saslauthd_py.secret import Secret

BASE = "dc=example,dc=test"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{BASE}", "admin"
"""May do everything, and read passwords as they are stored."""
SERVICE, SERVICE_PASSWORD = f"cn=service,{BASE}", "service pw"
"""May read everything but passwords; on ldapi, SASL EXTERNAL is this one, whoever asks."""
PEOPLE, STAFF, GROUPS, POLICIES = (f"ou={unit},{BASE}" for unit in ("people", "staff", "groups", "policies"))
ADMINS = f"ou=admins,{PEOPLE}"
"""Below PEOPLE: who can put a comma into a DN template gets here."""
POLICY = f"cn=strict,{POLICIES}"
DOMAIN = "example.test"

Attributes = tuple[tuple[str, str], ...]


def ssha(password: str) -> str:
    """As slapd stores a password by default."""
    salt = os.urandom(8)
    return "{SSHA}" + b64encode(hashlib.sha1(password.encode() + salt, usedforsecurity=False).digest() + salt).decode()


def rdn(value: str) -> str:
    """A value as it stands in a DN (RFC 4514)."""
    escaped = "".join(f"\\{letter}" if letter in ',+"\\<>;=' else letter for letter in value)
    return f"\\{escaped}" if escaped.startswith(("#", " ")) else escaped


@dataclass(frozen=True, slots=True)
class Person:
    """An entry with a uid. `stored`: its userPassword values; None: one, the {SSHA} of `password`. `more`: further attributes."""

    uid: str
    password: str
    unit: str = PEOPLE
    stored: tuple[str, ...] | None = None
    domain: str = DOMAIN
    more: Attributes = ()

    @property
    def dn(self) -> str:
        return f"uid={rdn(self.uid)},{self.unit}"

    @property
    def mail(self) -> str:
        return f"{self.uid}@{self.domain}"

    def attributes(self) -> Attributes:
        kept = (ssha(self.password),) if self.stored is None else self.stored
        named = (("uid", self.uid), ("cn", self.uid), ("sn", "of the tests"))
        mail = (("mail", self.mail),) if self.uid.isascii() else ()
        return (("objectClass", "inetOrgPerson"), *named, *mail, *(("userPassword", value) for value in kept), *self.more)


@dataclass(frozen=True, slots=True)
class Group:
    """An entry that lists its members in one attribute."""

    cn: str
    kind: str
    attribute: str
    members: tuple[str, ...]
    more: Attributes = ()

    @property
    def dn(self) -> str:
        return f"cn={self.cn},{GROUPS}"

    def attributes(self) -> Attributes:
        return (("objectClass", self.kind), ("cn", self.cn), *self.more, *((self.attribute, member) for member in self.members))


def numbered(number: int) -> Person:
    """One of the many: u0001 with pw0001 and so on. Those with an odd number are in the groups `mail`, `posixmail` and `unique`."""
    return Person(f"u{number:04d}", f"pw{number:04d}")


def _argon2(password: str) -> str:
    return "{ARGON2}" + argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(password)


def _made(scheme: str, password: str) -> str:
    return passwords.make(scheme, Secret(password.encode()), elsewhere=True).text


def _under_policy(*state: tuple[str, str]) -> Attributes:
    return (("pwdPolicySubentry", POLICY), *state)


ALICE = Person("alice", "pw1")
CAROL = Person("carol", 'pw\'2 "x"', domain="other.test")
ARGON2 = tuple(Person(f"arg{number}", f"argpw{number}", stored=(_argon2(f"argpw{number}"),)) for number in range(1, 6))
SSHA512 = Person("ssha512", "pw512", stored=(_made("ssha512", "pw512"),))
CRYPT = Person("crypt", "pwcrypt", stored=("{CRYPT}" + crypt(b"pwcrypt", "$6$rounds=1000$slapdslapd"),))
CLEAR = Person("clear", "pw clear", stored=("pw clear",))
CLEARTEXT = Person("cleartext", "pw cleartext", stored=("{CLEARTEXT}pw cleartext",))
"""Others write it so; slapd itself knows no such label, and refuses the bind."""
TWO_PASSWORDS = Person("two", "first", stored=(ssha("first"), ssha("second")))
NO_PASSWORD = Person("nopw", "", stored=())
UNKNOWN_SCHEME = Person("strange", "{NOSUCH}c2VjcmV0", stored=("{NOSUCH}c2VjcmV0",))
"""Of a scheme that nobody knows: `password` is the stored value itself, which never is a right one."""
LONG = Person("long", "long passphrase " * 16)
"""256 bytes; saslauthd's ldap takes 127 of them."""
CUT = Person("cut", "p" * 127)
"""Just as much as saslauthd's ldap takes: there it is right with anything behind it."""
TWINS = (Person("twin", "pw of one"), Person("twin", "pw of the other", STAFF))
CLERK = Person("clerk", "pwclerk", STAFF)
CHIEF = Person("chief", "pwchief", ADMINS)
LOCKED = Person("locked", "pwlocked", more=_under_policy(("pwdAccountLockedTime", "000001010000Z")))
EXPIRED = Person("expired", "pwexpired", more=_under_policy(("pwdChangedTime", "20200101000000Z")))
MUST_CHANGE = Person("mustchange", "pwchange", more=_under_policy(("pwdReset", "TRUE"), ("pwdChangedTime", "20900101000000Z")))
"""May bind, and then do nothing but change the password."""
BOTH = Person("both", "pwboth")
"""In two groups that one filter finds."""
NESTED = Person("nested", "pwnested")
"""In the group `inner`, which is in `middle`, which is in `outer`."""
ODD = tuple(
    Person(uid, f"pw of {uid}")
    for uid in (
        "w(e)ird*",
        "comma, of",
        "bücher",
        "#hash",
        "back\\slash",
        "plus+sign",
        'quo"te',
        "is=equal",
        "semi;colon",
        "<angle>",
        "a b",
    )
)
"""Names with letters that mean something in a filter or a DN."""

PERSONS = (
    *(ALICE, CAROL, *ARGON2, SSHA512, CRYPT, CLEAR, CLEARTEXT, TWO_PASSWORDS, NO_PASSWORD, UNKNOWN_SCHEME, LONG, CUT),
    *(*TWINS, CLERK, CHIEF, LOCKED, EXPIRED, MUST_CHANGE, BOTH, NESTED, *ODD),
)


def groups(users: int) -> tuple[Group, ...]:
    """All groups of a directory with so many numbered people."""
    members = (ALICE, *map(numbered, range(1, users + 1, 2)))
    dns, uids = tuple(member.dn for member in members), tuple(member.uid for member in members)
    inner, middle, here, there = (f"cn={cn},{GROUPS}" for cn in ("inner", "middle", "here", "there"))
    return (
        Group("mail", "groupOfNames", "member", dns),
        Group("odd names", "groupOfNames", "member", tuple(person.dn for person in ODD)),
        Group("unique", "groupOfUniqueNames", "uniqueMember", dns),
        Group("posixmail", "posixGroup", "memberUid", (*uids, BOTH.uid), (("gidNumber", "5000"),)),
        Group("posixweb", "posixGroup", "memberUid", (BOTH.uid,), (("gidNumber", "5001"),)),
        Group("inner", "groupOfNames", "member", (NESTED.dn,)),
        Group("middle", "groupOfNames", "member", (inner,)),
        Group("outer", "groupOfNames", "member", (middle, ALICE.dn)),
        Group("here", "groupOfNames", "member", (there, CLERK.dn)),  # and back again: whoever follows has to notice
        Group("there", "groupOfNames", "member", (here,)),
        Group("empty", "posixGroup", "memberUid", (), (("gidNumber", "5002"),)),
    )


def ldif(users: int) -> Iterator[str]:
    """The whole tree, for slapadd: operational attributes too."""
    yield entry(BASE, (("objectClass", "dcObject"), ("objectClass", "organization"), ("o", "tests"), ("dc", "example")))
    for unit in (PEOPLE, STAFF, GROUPS, POLICIES, ADMINS):
        yield entry(unit, (("objectClass", "organizationalUnit"), ("ou", unit.split(",")[0].removeprefix("ou="))))
    service = (("objectClass", "organizationalRole"), ("objectClass", "simpleSecurityObject"), ("cn", "service"))
    yield entry(SERVICE, (*service, ("userPassword", ssha(SERVICE_PASSWORD))))
    rules = (("pwdAttribute", "userPassword"), ("pwdLockout", "TRUE"), ("pwdMustChange", "TRUE"), ("pwdMaxAge", "86400"))
    yield entry(POLICY, (("objectClass", "device"), ("objectClass", "pwdPolicy"), ("cn", "strict"), *rules))
    people: tuple[Person | Group, ...] = (*PERSONS, *map(numbered, range(1, users + 1)))
    for listed in people + groups(users):
        yield entry(listed.dn, listed.attributes())


def entry(dn: str, attributes: Iterable[tuple[str, str]]) -> str:
    """One entry of an LDIF, every value in base64, so that none of them needs a thought (RFC 2849)."""
    lines = (("dn", dn), *attributes)
    return "".join(f"{name}:: {b64encode(value.encode()).decode()}\n" for name, value in lines) + "\n"
