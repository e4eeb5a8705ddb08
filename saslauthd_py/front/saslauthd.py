"""The saslauthd protocol on a port: what its requests mean, and its replies."""

from __future__ import annotations

from dataclasses import dataclass

from saslauthd_py import identity
from saslauthd_py.backend import Attempt
from saslauthd_py.credential import service_word
from saslauthd_py.front.one_request import Dialect, Refusal
from saslauthd_py.identity import InvalidIdentity
from saslauthd_py.wire import saslauthd as wire


def dialect(default_realm: str = "", *, trusted: bool = False, compat_limits: bool = False) -> Dialect:
    """`default_realm` for names without one; `trusted`: the peer is believed when it names its own client's address (rule D10)."""
    limits = wire.COMPAT_LIMITS if compat_limits else wire.LIMITS
    return Dialect(wire.OK, wire.NO, wire.span, _Reading(default_realm, trusted, limits).read, exact=trusted)


@dataclass(frozen=True, slots=True)
class _Reading:
    default_realm: str
    trusted: bool
    limits: wire.Limits

    def read(self, data: bytes) -> Attempt | Refusal | None:
        match wire.parse(data, self.limits):
            case wire.Request() as request:
                return self._attempt(request)
            case wire.BadRequest() as bad:
                return Refusal(bad.value)
            case None:
                return None

    def _attempt(self, request: wire.Request) -> Attempt | Refusal:
        try:
            name = identity.parse(request.login, request.realm, self.default_realm)
        except InvalidIdentity as error:
            return Refusal(str(error), request.login)
        service = service_word(request.service.decode("utf-8", "backslashreplace"))
        return Attempt(name, request.secret, service, wire.client_address(request) if self.trusted else None)
