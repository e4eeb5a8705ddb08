"""The client's side of every exchange (RFC 4422 section 3) as values: a message, and the function that takes what the server answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

from saslauthd_py.keys import Hash
from saslauthd_py.mechanisms.scram.client import Client, Final, Refused, Untrusted
from saslauthd_py.mechanisms.scram.keys import Unusable
from saslauthd_py.secret import Secret


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who logs in, by what, and as whom (`authzid` empty: as itself). Bytes of the names that are not UTF-8 are surrogates."""

    authcid: str
    secret: Secret
    authzid: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """A client's message: `message`, None where it sends no initial response.

    `hear` takes the server's next message and says what to answer; it raises Untrusted, and Unusable. `complete`: a success may be
    believed now; before that, a server that says so has left out what it owed.
    """

    message: bytes | None = field(repr=False)
    hear: Callable[[bytes], Said] = field(repr=False, compare=False)
    complete: bool = True

    def believe(self, final: bytes | None) -> None:
        """The server says that the login succeeded, with its mechanism's last message or None. Raises Untrusted where it proves nothing."""
        heard = self if self.complete or final is None else self.hear(final)
        if not heard.complete:
            raise Untrusted("a success before the exchange was over: this server has not proved that it knows the password")


def begin(mechanism: str, who: Credentials) -> Said:
    """What a client sends first. KeyError for a mechanism that the table does not have; raises Unusable."""
    return _BEGIN[mechanism](who)


def _plain(who: Credentials) -> Said:
    message = b"\0".join((_bytes(who.authzid), _bytes(who.authcid), who.secret.reveal()))
    return Said(message, _too_much)


def _login(who: Credentials) -> Said:
    password = Said(who.secret.reveal(), _too_much)
    name = Said(_bytes(who.authcid), lambda _: password, complete=False)
    return Said(None, lambda _: name, complete=False)


def _external(who: Credentials) -> Said:
    return Said(_bytes(who.authzid), _too_much)


def _scram(function: Hash, who: Credentials) -> Said:
    exchange = Client(function, who.authcid, who.secret, who.authzid)
    try:
        return Said(exchange.first(), partial(_challenged, exchange), complete=False)
    except UnicodeEncodeError:
        raise Unusable("SCRAM cannot carry a name that is not UTF-8") from None


def _challenged(exchange: Client, server_first: bytes) -> Said:
    final = exchange.final(server_first)
    return Said(final.message, partial(_proved, final), complete=False)


def _proved(final: Final, server_final: bytes) -> Said:
    try:
        final.check(server_final)
    except Refused:  # the failure itself is still to come
        return Said(b"", _too_much, complete=False)
    return Said(b"", _too_much)


def _too_much(_: bytes) -> Said:
    raise Untrusted("a challenge after the mechanism's last message")


def _bytes(name: str) -> bytes:
    return name.encode(errors="surrogateescape")


_BEGIN: Mapping[str, Callable[[Credentials], Said]] = MappingProxyType(
    {
        "PLAIN": _plain,
        "LOGIN": _login,
        "EXTERNAL": _external,
        **{function.mechanism: partial(_scram, function) for function in Hash},
    }
)
