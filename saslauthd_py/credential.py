"""What is stored: a secret's encodings, and where and how long it may be used (design: identity 1-n secret 1-n encoding)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network


def service_word(name: str) -> str:
    """A service's one spelling: lower case, and POP3 is `pop`, as libsasl's applications call it; Dovecot's call it `pop3`."""
    word = name.lower()
    return "pop" if word == "pop3" else word


class Kind(StrEnum):
    """An account has one main secret at most, and any number of app secrets with a label each."""

    MAIN = "main"
    APP = "app"


@dataclass(frozen=True, slots=True)
class Encoding:
    """A stored form of one secret: the scheme's name as the table in `passwords` spells it, and its text."""

    scheme: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Restrictions:
    """Where a right secret may be used: services by name and networks (empty: all), and until when (Unix time; None: for ever)."""

    services: tuple[str, ...] = ()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    expires: float | None = None

    @property
    def none(self) -> bool:
        """Nothing to judge at a cache hit: only then may a hit be answered inline (rule C1)."""
        return not self.services and not self.networks and self.expires is None


UNRESTRICTED = Restrictions()


@dataclass(frozen=True, slots=True)
class Credential:
    """One stored secret of an account. `generation` rises with every change of it, so that a rehash can compare and swap (F2)."""

    id: int
    kind: Kind
    label: str
    encodings: tuple[Encoding, ...]
    restrictions: Restrictions = UNRESTRICTED
    disabled: bool = False
    generation: int = 0
