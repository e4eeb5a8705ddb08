"""A login as a listener would take it, without a connection and without a delay: `test --trace`, and `test --direct`."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from saslauthd_py import steps, trace
from saslauthd_py.app.composition import Composed
from saslauthd_py.app.sasl_trial import SaslTrial
from saslauthd_py.authenticator import Decision, Question
from saslauthd_py.backend import Attempt
from saslauthd_py.config.settings import Listen, Settings
from saslauthd_py.control.protocol import PLAIN, Sasl
from saslauthd_py.front import pwcheck, saslauthd
from saslauthd_py.front.one_request import Dialect, Refusal
from saslauthd_py.verdict import Unavailable
from saslauthd_py.wire import pwcheck as pwcheck_wire
from saslauthd_py.wire import saslauthd as wire


def dialect(settings: Settings, listen: Listen) -> Dialect:
    """What is spoken on a listener where a connection is one request, and what it means there. ValueError: it is another one."""
    default_realm, compat = settings.identity.default_realm, settings.server.compat_limits
    match listen.protocol:
        case "saslauthd":
            return saslauthd.dialect(default_realm, trusted=listen.trusts_addresses, compat_limits=compat)
        case "pwcheck":
            return pwcheck.dialect(default_realm, compat_limits=compat)
    raise ValueError(f"{listen.protocol}: a connection has many requests")


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration's listeners, tried out. A trial is a real login: it counts in admission, asks the cache and fills it."""

    settings: Settings
    parts: Composed

    async def ask(self, listen: Listen, number: int, request: wire.Request, sasl: Sasl = PLAIN) -> Decision | Refusal:
        """Decide within the deadline; `number` is the listener's own, in the key of every proof (rule C2). Notes what was read."""
        if listen.protocol == "dovecot":
            answer = await SaslTrial(self.settings, self.parts, listen, number).ask(request, sasl)
        else:
            answer = await self._ask(listen, number, request)
        if isinstance(answer, Refusal):
            trace.note("refused", why=answer.why)
        else:
            who = {"user": answer.user, "authcid": answer.authcid, "backend": answer.backend}
            trace.note("verdict", **steps.said(answer.verdict), **who, cached=answer.cached)
        return answer

    async def _ask(self, listen: Listen, number: int, request: wire.Request) -> Decision | Refusal:
        """In a protocol whose connection is one request."""
        client = wire.client_address(request) if listen.trusts_addresses else None
        trace.note(
            "asked",
            listener=listen.name,
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
            return read or Refusal("no such request can be sent in this protocol", request.login)
        trace.note("split", local=read.identity.local, realm=read.identity.realm, service=read.service)
        state = self.parts.cache.state(number)
        state.update(frame[: spoken.span(frame)])
        with trio.move_on_after(self.settings.server.deadline):
            return await self.parts.authenticator.verify(Question(read, listen.name, state.digest()))
        return Decision(Unavailable(f"no answer within {self.settings.server.deadline:g} s"), str(read.identity))


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
