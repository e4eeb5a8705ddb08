"""What clients say to a saslauthd socket, by the thousand: whole requests, odd ones, halves, in one piece or byte by byte.

Each kind is a function of a random number generator; the same seed makes the same conversations.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from tests.interop.conformance_accounts import BROKEN, Person
from tests.interop.mux_client import Ending

REALMS = (
    *("", "other.test", "EXAMPLE.test", "nowhere.invalid", "büro.test", "b\u200bro.test", "a b", "*", "a\nb", "@example.test"),
    *("x" * 255, "x" * 256),
)
SERVICES = ("smtp", "imap", "", "SMTP", "pop3", "ü", "no such service", "s" * 256, "s\n")
LENGTHS = (255, 256, 257, 300, 1000, 8000, 17000)
_MOST = 0.8
"""The part of the requests that come as a mail server sends them: the person's own realm, the service smtp."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """One connection: what is meant by the four fields, then what is sent in which pieces, and how it ends.

    `kind` says what it tries; `more`: behind the fourth field; `cut`: only so many bytes are sent.
    """

    kind: str
    login: bytes
    secret: bytes
    service: bytes
    realm: bytes
    more: bytes = b""
    cut: int | None = None
    pieces: tuple[int, ...] = field(default=(), repr=False)
    ending: Ending = Ending.WAIT

    @property
    def fields(self) -> tuple[bytes, ...]:
        return self.login, self.secret, self.service, self.realm

    @property
    def sent(self) -> bytes:
        """All bytes."""
        return (b"".join(map(counted, self.fields)) + self.more)[: self.cut]

    @property
    def writes(self) -> list[bytes]:
        """What is sent, at `pieces` cut apart."""
        sent, ends = self.sent, sorted({*self.pieces})
        return [sent[begin:end] for begin, end in zip([0, *ends], [*ends, len(sent)], strict=True) if sent[begin:end]]

    @property
    def whole(self) -> bool:
        """Whether all four fields are sent."""
        return self.cut is None or self.cut >= sum(2 + len(part) for part in self.fields)


def counted(part: bytes) -> bytes:
    """A field as it is sent."""
    return len(part).to_bytes(2, "big") + part


def conversations(seed: int, number: int, people: Sequence[Person]) -> Iterator[Conversation]:
    """Everybody's right password, `plain`; then so many, all kinds in turn, of all but the BROKEN: an outage takes a second."""
    for person in people:
        yield _request(person, "plain")
    random = Random(seed)  # noqa: S311 - the same conversations for all daemons, not a secret
    kinds, well = list(KINDS.items()), [person for person in people if person not in BROKEN]
    for turn in range(number):
        name, made = kinds[turn % len(kinds)]
        person = random.choice(well)
        one = replace(made(random, person), kind=name)
        if random.random() > _MOST:
            one = replace(one, realm=random.choice(REALMS).encode(), service=random.choice(SERVICES).encode())
        yield one


def silences(people: Sequence[Person]) -> Iterator[Conversation]:
    """Those whose client says too little, and then nothing."""
    request = _request(people[0], "silence")
    longer = replace(request, kind="silence in a long field", secret=b"x" * 300)
    for one, cut in ((request, 0), (request, 1), (request, len(request.sent) - 1), (longer, len(longer.login) + 4 + 3)):
        yield replace(one, cut=cut)


def _request(person: Person, kind: str = "") -> Conversation:
    return Conversation(kind, person.login, person.secret, b"smtp", person.realm.encode())


def _right(random: Random, person: Person) -> Conversation:
    return _request(person)


def _wrong(random: Random, person: Person) -> Conversation:
    secret = person.secret
    changed = (secret + b"x", secret[:-1] or b"y", b" " + secret, secret + b" ", secret.swapcase(), secret + b"\n", secret[:8])
    return replace(_request(person), secret=random.choice(changed))


def _of_another(random: Random, person: Person) -> Conversation:
    return replace(_request(person), secret=random.choice((b"pw1", b"pw%d" % random.randint(0, 20), b"*", b"x", b"!!")))


def _unknown(random: Random, person: Person) -> Conversation:
    return replace(_request(person), login=person.login + b"%d" % random.randint(10000, 99999))


def _empty(random: Random, person: Person) -> Conversation:
    request = _request(person)
    return random.choice(
        (
            replace(request, login=b""),
            replace(request, secret=b""),
            replace(request, service=b""),
            replace(request, realm=b""),
            replace(request, login=b"", secret=b""),
            replace(request, login=b"", secret=b"", service=b"", realm=b""),
        )
    )


def _with_domain(random: Random, person: Person) -> Conversation:
    realm = random.choice((person.realm, "other.test", "", "inside")).encode()
    return replace(_request(person), login=person.login + b"@" + realm, realm=random.choice((b"", person.realm.encode())))


def _spelt_otherwise(random: Random, person: Person) -> Conversation:
    request = _request(person)
    login, realm = person.login, person.realm.encode()
    spelt = (login.upper(), login.title(), b" " + login, login + b" ", login + b"\t")
    return random.choice(
        (replace(request, login=random.choice(spelt)), replace(request, realm=random.choice((realm.upper(), realm.title(), realm.lower()))))
    )


def _other_form(random: Random, person: Person) -> Conversation:
    """The password's letters and accents apart, or together again; or a letter of the same meaning."""
    try:
        secret = person.secret.decode()
    except UnicodeDecodeError:
        return _request(person)
    forms = (unicodedata.normalize("NFD", secret), unicodedata.normalize("NFC", secret), secret.replace("p", "\uff50"))
    return replace(_request(person), secret=random.choice(forms).encode())


def _odd_bytes(random: Random, person: Person) -> Conversation:
    odd = bytes(random.randint(1, 255) for _ in range(random.randint(1, 20)))
    name = random.choice(("login", "secret", "service", "realm"))
    before: bytes = getattr(_request(person), name)
    where = random.randint(0, len(before))
    return _with(person, name, random.choice((odd, before[:where] + odd + before[where:])))


def _nul(random: Random, person: Person) -> Conversation:
    name = random.choice(("login", "secret", "service", "realm"))
    before: bytes = getattr(_request(person), name)
    return _with(person, name, random.choice((before + b"\0x", before + b"\0", b"\0" + before, b"\0")))


def _long(random: Random, person: Person) -> Conversation:
    name = random.choice(("login", "secret", "service", "realm"))
    before: bytes = getattr(_request(person), name)
    return _with(person, name, before + b"x" * max(random.choice(LENGTHS) - len(before), 0))


def _with(person: Person, name: str, value: bytes) -> Conversation:
    return replace(_request(person), **{name: value})  # type: ignore[arg-type]  # one of the four fields, all of them bytes


def _fifth(random: Random, person: Person) -> Conversation:
    fifth = counted(random.choice((b"192.0.2.7;2525", b"2001:db8::1;1", b"", b"nonsense", b"\0", b"x" * 256, b"x" * 300)))
    return replace(_maybe_wrong(random, person), more=random.choice((fifth, fifth[:-1], fifth[:1], fifth + b"x")))


def _behind(random: Random, person: Person) -> Conversation:
    tail = random.choice((b"x", b"\r\n", b"\0\0", bytes(random.randint(0, 255) for _ in range(30)), b"y" * 5000))
    return replace(_maybe_wrong(random, person), more=tail)


def _two(random: Random, person: Person) -> Conversation:
    """Two requests, the second with another verdict."""
    first = _maybe_wrong(random, person)
    second = _request(person) if first.secret != person.secret else replace(_request(person), secret=b"wrong")
    length = len(first.sent)
    return replace(first, more=second.sent, pieces=random.choice(((), (length,), (length + 3,))))


def _split(random: Random, person: Person) -> Conversation:
    request = _maybe_wrong(random, person)
    length = len(request.sent)
    some = tuple(random.randint(1, length - 1) for _ in range(random.randint(1, 3)))
    return replace(request, pieces=random.choice((tuple(range(1, min(length, 60))), some)))


def _shut(random: Random, person: Person) -> Conversation:
    """The whole of it, and no more to come."""
    return replace(_maybe_wrong(random, person), ending=Ending.SHUT)


def _half(random: Random, person: Person) -> Conversation:
    """Not the whole of it, of one that is odd or not, and no more to come."""
    made = random.choice((_right, _right, _empty, _nul, _long))(random, person)
    return replace(made, cut=random.randint(0, len(made.sent) - 1), ending=Ending.SHUT)


def _early(random: Random, person: Person) -> Conversation:
    """The client leaves, in the middle or without waiting for the answer."""
    request = _maybe_wrong(random, person)
    return replace(request, cut=random.choice((None, random.randint(0, len(request.sent)))), ending=Ending.LEAVE)


def _maybe_wrong(random: Random, person: Person) -> Conversation:
    return random.choice((_right, _wrong))(random, person)


KINDS: dict[str, Callable[[Random, Person], Conversation]] = {
    "right": _right,
    "wrong password": _wrong,
    "somebody else's password": _of_another,
    "unknown": _unknown,
    "empty": _empty,
    "domain in the login": _with_domain,
    "spelt otherwise": _spelt_otherwise,
    "another form of Unicode": _other_form,
    "odd bytes": _odd_bytes,
    "NUL": _nul,
    "long": _long,
    "a fifth field": _fifth,
    "bytes behind": _behind,
    "two requests": _two,
    "in pieces": _split,
    "whole, and shut": _shut,
    "half, and shut": _half,
    "early close": _early,
}
