"""Accounts with a story, as stock saslauthd and our daemon both find them: in a sasldb2 that saslpasswd2 made, and in passwd and shadow."""

from __future__ import annotations

import socket
import time
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from saslauthd_py.passwords import libcrypt
from tests.interop.pam_machine import NO_DATES, Dates, PamMachine, hashed
from tests.sasldb.sasldbs import set_password

REALM = "example.test"
_QUICK = "$6$rounds=1000$salt$"
"""A hash that costs little."""

DAYS = int(time.time()) // 86400


@dataclass(frozen=True, slots=True)
class Person:
    """An account. `secret`: its password in clear, also where nobody may log in with it.

    Of a line in shadow: `stored` where that is not the password's hash, its `dates`, its user id, and whether the hash stands in passwd.
    """

    name: str
    secret: bytes
    realm: str = REALM
    stored: str | None = None
    dates: Dates = NO_DATES
    uid: int | None = None
    shadowed: bool = True

    @property
    def login(self) -> bytes:
        return self.name.encode(errors="surrogateescape")


ALICE = Person("alice", b"pw1")
UMLAUT = Person("umlaut", "pässwörd".encode())
CUT = Person("cut", b"p" * 257)
LONG = Person("long", b"a passphrase of words " * 20)
NUMBERED = tuple(Person(f"user{number}", b"pw%d" % number) for number in range(20))

_BOTH = (
    ALICE,
    UMLAUT,
    CUT,
    LONG,
    *NUMBERED,
    Person("full", b"x" * 256),
    Person("blanks", b" two  blanks\t "),
    Person("breaks", b"line\r\nbreak"),
    Person("latin", "pässwörd".encode("latin-1")),
    Person("every", bytes(range(1, 256))),
    Person("two.dots-and_more", b"pw1"),
    Person("Capital", b"pw1"),
    Person("n" * 31, b"pw1"),
)

CAPITAL_REALM = Person("eve", b"pw1", "EXAMPLE.org")
HOST = Person("bare", b"pw1", socket.gethostname())
NOT_UTF8 = Person("m\udcfcller", b"pw1")
LONG_NAME = Person("n" * 256, b"pw1")

SASLDB = (
    *_BOTH,
    CAPITAL_REALM,
    HOST,
    NOT_UTF8,
    LONG_NAME,
    Person("müller", "grüße".encode()),
    Person("alice", b"another", "other.test"),
    Person("long.realm", b"pw1", f"{'r' * 243}.example"),
    Person("nobody at all", b"pw1"),
)
"""Whoever the database knows."""

AT = Person("at@inside", b"pw1")
SYSTEM = Person("daemonic", b"pw1", uid=990)
ROOT = Person("toor", b"pw1", uid=0)
FORCED = Person("forced", b"pw1", dates=Dates(changed=0))
LAST_DAY = (Person("last.day", b"pw1", dates=Dates(expires=DAYS)), Person("day.after", b"pw1", dates=Dates(expires=DAYS + 1)))
"""The second for a run over midnight."""

NO_SHADOW = Person("no.shadow", b"pw1", stored="")
UNKNOWN_HASH = Person("unknown.hash", b"pw1", stored="$99$abc$def")
CLEAR = Person("clear", b"clear text", stored="clear text")
BROKEN = (NO_SHADOW, UNKNOWN_HASH, CLEAR)
IN_PASSWD = Person("in.passwd", b"pw1", shadowed=False)
OLD = Person("old", b"password-of-14", stored=libcrypt.crypt(b"password-of-14", "ab"))
"""Its form looks at eight bytes."""

SHADOW = (
    *_BOTH,
    AT,
    SYSTEM,
    ROOT,
    FORCED,
    *LAST_DAY,
    *BROKEN,
    IN_PASSWD,
    OLD,
    Person("yescrypt", b"pw1", stored=hashed("pw1", "yescrypt")),
    Person("md5", b"pw1", stored=libcrypt.crypt(b"pw1", "$1$abcdefgh$")),
    Person("bcrypt", b"pw1", stored=hashed("pw1", "bcrypt")),
    Person("locked", b"pw1", stored="!" + libcrypt.crypt(b"pw1", _QUICK)),
    Person("starred", b"*", stored="*"),
    Person("banged", b"!!", stored="!!"),
    Person("empty", b"x", stored=""),
    Person("nisplus", b"*NP*", stored="*NP*"),
    Person("expired", b"pw1", dates=Dates(expires=DAYS - 2)),
    Person("expired.long.ago", b"pw1", dates=Dates(expires=0)),
    Person("not.yet", b"pw1", dates=Dates(expires=DAYS + 30)),
    Person("aged", b"pw1", dates=Dates(changed=DAYS - 30, maximum=20)),
    Person("graced", b"pw1", dates=Dates(changed=DAYS - 30, maximum=20, inactive=300)),
    Person("ageing", b"pw1", dates=Dates(changed=DAYS - 30, maximum=40)),
    Person("ageless", b"pw1", dates=Dates(changed="", maximum=5)),
    Person("unbounded", b"pw1", dates=Dates(maximum="")),
)
"""Whoever passwd or shadow knows."""


def write_sasldb(path: Path, people: Iterable[Person]) -> None:
    """By the original's saslpasswd2."""
    for person in people:
        set_password(path, person.name, person.secret, person.realm)


def write_passwd(machine: PamMachine, people: Iterable[Person]) -> None:
    """Lines in the machine's passwd and shadow."""
    for person in people:
        stored = libcrypt.crypt(person.secret, _QUICK) if person.stored is None else person.stored
        machine.account(person.name, stored, person.dates, shadowed=person.shadowed, uid=person.uid)
    machine.forget_shadow(NO_SHADOW.name)


def same(presented: bytes, secret: bytes) -> bool:
    """Whether it is that password, in whatever form of Unicode (rule F6)."""
    return presented == secret or _composed(presented) == _composed(secret)


def _composed(secret: bytes) -> str | bytes:
    try:
        return unicodedata.normalize("NFKC", secret.decode())
    except UnicodeDecodeError:
        return secret
