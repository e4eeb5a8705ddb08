"""The pwcheck protocol on a port: what its requests mean, and its replies."""

from __future__ import annotations

from dataclasses import dataclass

from saslauthd_py import identity
from saslauthd_py.backend import Attempt
from saslauthd_py.front.one_request import Dialect, Refusal
from saslauthd_py.identity import InvalidIdentity
from saslauthd_py.wire import pwcheck as wire


def dialect(default_realm: str = "", *, compat_limits: bool = False) -> Dialect:
    """`default_realm` for names without one. No request names a service or an address: the service is `wire.SERVICE`."""
    limit = wire.COMPAT_MAX_REQUEST if compat_limits else wire.MAX_REQUEST
    return Dialect(wire.OK, wire.NO, wire.span, _Reading(default_realm, limit).read)


@dataclass(frozen=True, slots=True)
class _Reading:
    default_realm: str
    limit: int

    def read(self, data: bytes) -> Attempt | Refusal | None:
        match wire.parse(data, self.limit):
            case None:
                return None
            case wire.BadRequest() as bad:
                return Refusal(bad.value)
            case wire.Request() as request:
                return self._attempt(request)

    def _attempt(self, request: wire.Request) -> Attempt | Refusal:
        try:
            name = identity.parse(request.userid, default_realm=self.default_realm)
        except InvalidIdentity as error:
            return Refusal(str(error), request.userid)
        return Attempt(name, request.secret, wire.SERVICE)
