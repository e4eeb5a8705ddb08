"""A login over Dovecot's protocol, tried out: the mail client, its mail server and our side of the exchange, with no socket between."""

from __future__ import annotations

import os
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar, assert_never

import trio

from saslauthd_py import trace
from saslauthd_py.app.composition import Composed
from saslauthd_py.app.offering import Offered, offered
from saslauthd_py.authenticator import Decision, KeyedLogin, Question, Sought
from saslauthd_py.backend import Attempt
from saslauthd_py.config.settings import Listen, Settings, Trust
from saslauthd_py.control.protocol import Sasl
from saslauthd_py.front.dovecot.reading import Reading, asked
from saslauthd_py.front.one_request import Refusal
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.mechanisms import client as mail_client
from saslauthd_py.mechanisms.client import Credentials, Said
from saslauthd_py.mechanisms.exchange import Challenge, Disproved, Failed, NeedCertificate, NeedKeys, NeedPassword, Proved, Step
from saslauthd_py.mechanisms.scram.client import Untrusted
from saslauthd_py.mechanisms.scram.keys import Unusable
from saslauthd_py.mechanisms.table import MECHANISMS
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Unavailable
from saslauthd_py.wire.dovecot import Auth, Connection, Event, MailClient, Refused, Response, Violation, hello
from saslauthd_py.wire.dovecot.client import Challenge as Heard
from saslauthd_py.wire.dovecot.client import Client
from saslauthd_py.wire.saslauthd import Request, client_address

_T = TypeVar("_T")

_COOKIE = bytes(16)
_UNSAYABLE = "no such request can be sent in this protocol"


@dataclass(frozen=True, slots=True)
class SaslTrial:
    """One listener of Dovecot's protocol; `number` is its own, in the key of every proof (rule C2)."""

    settings: Settings
    parts: Composed
    listen: Listen
    number: int

    async def ask(self, request: Request, sasl: Sasl) -> Decision | Refusal:
        """Decide, whatever we owe within the deadline. Notes what was read, and each step of the exchange."""
        login = request.login + (b"@" + request.realm if request.realm else b"")
        certified = sasl.mechanism == "EXTERNAL"
        client = MailClient(client_address(request), sasl.secured, certified, login if certified else b"")
        self._note(login, request, sasl, client)
        now = offered(self.listen, self.parts.routes)
        if sasl.mechanism not in now.mechanisms:
            return Refusal(_unoffered(sasl.mechanism, now), login)
        try:
            said = mail_client.begin(sasl.mechanism, Credentials(_name(login), request.secret, _name(sasl.authzid)))
            server = _MailServer(now.mechanisms)
            auth = server.auth(sasl.mechanism, request.service, client, said.message)
        except Unusable as fault:
            return Refusal(f"the mail client cannot ask so: {fault}", login)
        except OverflowError:
            return Refusal(_UNSAYABLE, login)
        return await _Exchange(self, auth, server, said).held() if isinstance(auth, Auth) else Refusal(auth, login)

    def _note(self, login: bytes, request: Request, sasl: Sasl, client: MailClient) -> None:
        trace.note(
            "asked",
            listener=self.listen.name,
            protocol=self.listen.protocol,
            login=_text(login),
            realm="",
            service=_text(request.service),
            client=_text(request.client.partition(b";")[0]),
            believed=client.address is not None and self.listen.trusts_addresses,
            mechanism=sasl.mechanism,
            authzid=_text(sasl.authzid),
            secured=sasl.secured,
            secured_believed=self.listen.trusted_up_to >= Trust.TLS,
            on_unavailable=self.listen.on_unavailable,
        )


class _MailServer:
    """Both ends of its connection to us: what the one end says, the other reads."""

    def __init__(self, mechanisms: tuple[str, ...]) -> None:
        self._theirs, self._ours = Client(os.getpid()), Connection(frozenset(mechanisms))
        self._theirs.feed(hello(mechanisms, os.getpid(), 1, _COOKIE))
        self._theirs.next_event()
        self._ours.feed(self._theirs.greeting)
        self._ours.next_event()

    def auth(self, mechanism: str, service: bytes, client: MailClient, initial: bytes | None) -> Auth | str:
        """The request as we read it, or why we do not. OverflowError: no line can carry it."""
        self._ours.feed(self._theirs.auth(mechanism, service, client, initial))
        event = self._ours.next_event()
        return event if isinstance(event, Auth) else _why(event)

    def challenge(self, auth: Auth, message: bytes) -> bytes:
        """Our challenge as the mail client reads it."""
        self._theirs.feed(self._ours.challenge(auth.request, message))
        event = self._theirs.next_event()
        assert isinstance(event, Heard)  # noqa: S101 - nothing else was said
        return event.message

    def response(self, message: bytes) -> Secret | str:
        """The mail client's answer as we read it, or why we do not. OverflowError: no line can carry it."""
        self._ours.feed(self._theirs.respond(message))
        event = self._ours.next_event()
        return event.message if isinstance(event, Response) else _why(event)


class _Exchange:
    """One login, from its first message to its verdict; `said` is what its client said last."""

    def __init__(self, place: SaslTrial, auth: Auth, server: _MailServer, said: Said) -> None:
        self._place = place
        self._auth = auth
        self._server = server
        self._said = said
        self._reading = Reading(place.listen, place.settings.identity.default_realm)
        self._keyed: KeyedLogin | None = None
        self._asked_for = ""

    async def held(self) -> Decision | Refusal:
        """Take the mechanism's steps until one decides."""
        auth = self._auth
        if self._reading.refusal(auth):
            return Refusal(f"{auth.mechanism} without TLS, and require_tls is set")
        answer: Step | Decision | Refusal
        answer = MECHANISMS[auth.mechanism].begin(None if auth.initial is None else auth.initial.reveal())
        try:
            while not isinstance(answer, Decision | Refusal):
                answer = await self._meet(answer)
        except InvalidIdentity as error:
            return Refusal(str(error), self._asked_for.encode(errors="surrogateescape"))
        finally:
            if self._keyed is not None:
                self._keyed.abandon()
        return answer

    async def _meet(self, step: Step) -> Step | Decision | Refusal:
        match step:
            case Challenge(message, receive):
                answer = await self._answer(message)
                return answer if isinstance(answer, Refusal) else receive(answer.reveal())
            case NeedPassword():
                return await self._verify(step)
            case NeedKeys(authzid, authcid, function, resolve):
                sought = self._sought(authzid, authcid)
                self._keyed = await self._timely(self._place.parts.authenticator.find_keys(sought, function))
                return self._late(sought.identity) if self._keyed is None else self._keyed.unavailable or resolve(self._keyed.keys)
            case NeedCertificate(_, resolve):
                return resolve(self._reading.certificate(self._auth))
            case Proved() | Disproved():
                return await self._conclude(step)
            case Failed(why):
                return Refusal(why)
        assert_never(step)

    async def _answer(self, message: bytes) -> Secret | Refusal:
        """What the client answers a challenge. SCRAM's client hashes, which is not for the loop."""
        try:
            self._said = await trio.to_thread.run_sync(self._said.hear, self._server.challenge(self._auth, message))
            answer = self._server.response(self._said.message or b"")
        except (Untrusted, Unusable) as fault:
            return Refusal(f"the mail client goes no further: {fault}")
        except OverflowError:
            return Refusal(_UNSAYABLE)
        return Refusal(answer) if isinstance(answer, str) else answer

    async def _verify(self, step: NeedPassword) -> Decision:
        sought = self._sought(step.authzid, step.authcid)
        attempt = Attempt(sought.identity, step.secret, sought.service, sought.address)
        state = self._place.parts.cache.state(self._place.number)
        state.update(asked(attempt))
        question = Question(attempt, sought.listener, state.digest(), sought.authzid)
        return await self._timely(self._place.parts.authenticator.verify(question)) or self._late(sought.identity)

    async def _conclude(self, step: Proved | Disproved) -> Decision:
        if self._keyed is None:
            sought = self._sought(step.authzid, step.authcid)
            return await self._timely(self._place.parts.authenticator.vouch(sought)) or self._late(sought.identity)
        decision = await self._timely(self._keyed.conclude(step)) or self._late(self._reading.names(step.authzid, step.authcid)[0])
        if isinstance(step, Proved) and isinstance(decision.verdict, Accepted):
            self._believe(step.message)
        return decision

    def _believe(self, final: bytes | None) -> None:
        """Whether the client takes our success for true."""
        try:
            self._said.believe(final)
        except Untrusted as fault:
            trace.note("signature", right=False, why=str(fault))
        else:
            trace.note("signature", right=True)

    def _sought(self, authzid: str, authcid: str) -> Sought:
        """Who proves, and as whom they want to act. Raises InvalidIdentity."""
        self._asked_for = authcid
        name, acting = self._reading.names(authzid, authcid)
        service = self._reading.service(self._auth)
        trace.note("split", local=name.local, realm=name.realm, service=service, authzid=str(acting) if acting else "")
        return Sought(name, service, self._reading.address(self._auth), self._place.listen.name, acting)

    async def _timely(self, work: Awaitable[_T]) -> _T | None:
        """None: it took too long."""
        with trio.move_on_after(self._place.settings.server.deadline):
            return await work
        return None

    def _late(self, name: Identity) -> Decision:
        return Decision(Unavailable(f"no answer within {self._place.settings.server.deadline:g} s"), str(name))


def _unoffered(mechanism: str, now: Offered) -> str:
    if why := now.withheld.get(mechanism):
        return f"{mechanism} is not offered: {why}"
    return f"{mechanism} is not offered: only {', '.join(now.mechanisms)}"


def _why(event: Event | None) -> str:
    match event:
        case Refused(reason=reason):
            return reason
        case Violation():
            return event.value
    return _UNSAYABLE


def _name(name: bytes) -> str:
    return name.decode(errors="surrogateescape")


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")
