"""A login as a listener would take it, without a connection and without a delay: `test --trace`, and `test --direct`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import trio

from saslauthd_py import steps, trace
from saslauthd_py.authenticator import Authenticator, Decision, Question
from saslauthd_py.backend import Attempt
from saslauthd_py.cache import Cache
from saslauthd_py.config.settings import Listen, Settings
from saslauthd_py.front import pwcheck, saslauthd
from saslauthd_py.front.one_request import Dialect, Refusal
from saslauthd_py.verdict import Unavailable
from saslauthd_py.wire import pwcheck as pwcheck_wire
from saslauthd_py.wire import saslauthd as wire


def dialect(settings: Settings, listen: Listen) -> Dialect:
    """What is spoken on a listener, and what it means there."""
    default_realm, compat = settings.identity.default_realm, settings.server.compat_limits
    match listen.protocol:
        case "saslauthd":
            return saslauthd.dialect(default_realm, trusted=listen.trusts_addresses, compat_limits=compat)
        case "pwcheck":
            return pwcheck.dialect(default_realm, compat_limits=compat)
    assert_never(listen.protocol)


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration's listeners, tried out. A trial is a real login: it counts in admission, asks the cache and fills it."""

    settings: Settings
    authenticator: Authenticator
    cache: Cache

    async def ask(self, listen: Listen, number: int, request: wire.Request) -> Decision | Refusal:
        """Decide within the deadline; `number` is the listener's own, in the key of every proof (rule C2). Notes what was read."""
        client = wire.client_address(request) if listen.trusts_addresses else None
        trace.note(
            "asked",
            listener=listen.path,
            protocol=listen.protocol,
            login=_text(request.login),
            realm=_text(request.realm),
            service=_text(request.service),
            client=_text(request.client.partition(b";")[0]),
            believed=client is not None,
        )
        spoken = dialect(self.settings, listen)
        frame = _frame(listen, request)
        read = spoken.read(frame) if frame else None
        if not isinstance(read, Attempt):
            refusal = read or Refusal("no such request can be sent in this protocol", request.login)
            trace.note("refused", why=refusal.why)
            return refusal
        trace.note("split", local=read.identity.local, realm=read.identity.realm, service=read.service)
        state = self.cache.state(number)
        state.update(frame[: spoken.span(frame)])
        decision = Decision(Unavailable(f"no answer within {self.settings.server.deadline:g} s"), str(read.identity))
        with trio.move_on_after(self.settings.server.deadline):
            decision = await self.authenticator.verify(Question(read, listen.path, state.digest()))
        trace.note("verdict", **steps.said(decision.verdict), user=decision.user, backend=decision.backend, cached=decision.cached)
        return decision


def _frame(listen: Listen, request: wire.Request) -> bytes:
    """The request as its client would send it; nothing where none could."""
    try:
        if listen.protocol == "pwcheck":
            return pwcheck_wire.encode(pwcheck_wire.Request(request.login, request.secret))
        return wire.encode(request)
    except (OverflowError, ValueError):
        return b""


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")
