"""One AUTH from its first message to its final reply: the mechanism's steps taken, each need met, the verdict told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, assert_never

import trio

from saslauthd_py import identity
from saslauthd_py.authenticator import Decision, KeyedLogin, Question, Sought
from saslauthd_py.backend import Attempt
from saslauthd_py.cache import Proof
from saslauthd_py.front.dovecot.known import Known
from saslauthd_py.front.dovecot.reading import asked
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.log.style import Asked
from saslauthd_py.mechanisms import plain
from saslauthd_py.mechanisms.exchange import Challenge, Disproved, Failed, NeedCertificate, NeedKeys, NeedPassword, Proved, Step
from saslauthd_py.mechanisms.table import MECHANISMS, Need
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Rejected, Unavailable, UnknownUser
from saslauthd_py.wire.dovecot import REJECTED, UNAVAILABLE, Auth, Failure

if TYPE_CHECKING:
    from saslauthd_py.front.dovecot.session import Session

CLIENT_PATIENCE = 150.0
"""Seconds in which a client must answer a challenge (rule E8; Dovecot drops its requests then too)."""

OUTAGE_DELAY = 1.0
"""Seconds before an outage is told: an MTA's client tries again at once (rule E4)."""


class Exchange:
    """Implemented for `Session` alone, which sends what this says and forgets it when `over` is called.

    `due`: when the client's patience with us or ours with it ends; trio's clock, and infinity while the request waits for us. `port`:
    whose configuration decides; it may have been retired since (rule H1).
    """

    def __init__(self, auth: Auth, session: Session) -> None:
        self.request = auth.request
        self.port = session.port
        self.due = float("inf")
        self._auth = auth
        self._session = session
        self.port.exchanges.add(self)
        self._arrived = trio.current_time()
        self._receive: Callable[[bytes], Step] | None = None
        self._keyed: KeyedLogin | None = None
        self._authzid = ""

    def begin(self) -> None:
        """Take the first step, with the initial response if there is one."""
        if failure := self.port.reading.refusal(self._auth):
            self._refuse(f"{self._auth.mechanism} without TLS, and require_tls is set", self._plain_name(), failure)
            return
        initial = self._auth.initial
        self._take(MECHANISMS[self._auth.mechanism].begin(None if initial is None else initial.reveal()))

    def respond(self, message: Secret) -> None:
        """The client has answered the challenge."""
        assert self._receive is not None  # noqa: S101 - the wire lets no response through that nobody asked for
        self._arrived, self.due = trio.current_time(), float("inf")
        self._take(self._receive(message.reveal()))

    def wait(self) -> None:
        """Its client must say that it has taken the mechanism's last message."""
        self.due = trio.current_time() + CLIENT_PATIENCE
        self.follow()

    def follow(self) -> None:
        """Go on under the configuration that serves its client now, unless we owe an answer, or another one has found its keys."""
        if self._keyed is None and self.due < float("inf"):
            self.port.over(self)
            self.port = self._session.port
            self.port.exchanges.add(self)

    @property
    def bound(self) -> bool:
        """It rests on keys that one configuration has looked up, and must end under that one."""
        return self._keyed is not None

    def give_up(self) -> None:
        """Its configuration is over, and nobody will answer it."""
        self._session.give_up(self)

    def over(self) -> None:
        """It has its final reply, or will have none: its client is gone, has given it up or does not answer."""
        self._abandon()
        self.port.over(self)

    def _start(self, task: Callable[[], Awaitable[object]]) -> None:
        self.port.nursery.start_soon(self._session.run, task)

    def _abandon(self) -> None:
        if self._keyed is not None:
            self._keyed.abandon()
            self._keyed = None

    def _take(self, step: Step) -> None:
        try:
            self._meet(step)
        except InvalidIdentity as error:
            self._refuse(str(error), step.authcid.encode() if isinstance(step, NeedPassword | NeedKeys | Proved) else b"")

    def _meet(self, step: Step) -> None:
        match step:
            case Challenge(message, receive):
                self._receive, self.due = receive, trio.current_time() + CLIENT_PATIENCE
                self._session.challenge(self.request, message)
            case NeedPassword():
                self._verify(step)
            case NeedKeys():
                self._start(partial(self._find_keys, step, self._sought(step.authzid, step.authcid)))
            case NeedCertificate(_, resolve):
                self._meet(resolve(self.port.reading.certificate(self._auth)))
            case Proved() if self._keyed is None:
                sought = self._sought(step.authzid, step.authcid)
                self._start(partial(self._conclude, sought.identity, lambda: self.port.authenticator.vouch(sought), None))
            case Proved() | Disproved():
                self._prove(step)
            case Failed(why):
                self._abandon()
                self._refuse(why)
            case _:
                assert_never(step)

    def _verify(self, step: NeedPassword) -> None:
        port = self.port
        name, authzid = self._names(step.authzid, step.authcid)
        attempt = Attempt(name, step.secret, port.reading.service(self._auth), port.reading.address(self._auth))
        question = asked(attempt)
        proof, key = port.inline.decide(question) if authzid is None else (None, b"")
        if proof is not None:
            port.hit((proof, self._session.connection.peer, self._client()))
            self._remember(proof)
            self._session.ok(self.request, identity.written(proof.user), None)
        else:
            self._start(partial(self._decide_password, Question(attempt, port.path, key or port.inline.key(question), authzid)))

    async def _decide_password(self, question: Question) -> None:
        port = self.port
        decision = await self._conclude(question.attempt.identity, lambda: port.authenticator.verify(question), None)
        if isinstance(decision.verdict, Accepted) and question.authzid is None and (proof := port.cache.proofs.get(question.key)):
            self._remember(proof)

    def _remember(self, proof: Proof) -> None:
        """An AUTH line that alone says all, and says it with the same bytes again, is answered by the loop from now on."""
        if self._auth.mechanism == "PLAIN" and self._receive is None and proof.inline_until:
            self.port.known.remember(self._auth.span.reveal(), Known(proof, proof.user.encode(), self._client()))

    def _client(self) -> bytes:
        """What the log's line of a hit says of who logs in."""
        address = self.port.reading.address(self._auth)
        return self.port.record.from_client(b"" if address is None else str(address).encode(), self._auth.mechanism)

    async def _find_keys(self, step: NeedKeys, sought: Sought) -> None:
        port = self.port
        keyed: KeyedLogin | None = None
        with trio.move_on_after(port.deadline):
            keyed = await self.port.authenticator.find_keys(sought, step.function)
        if keyed is None or keyed.unavailable is not None:
            decision = keyed.unavailable if keyed is not None and keyed.unavailable is not None else self._late(sought.identity)
            await self._tell(decision, None)
        elif not self._session.is_open(self.request):
            keyed.abandon()
        else:
            self._keyed = keyed
            self._take(step.resolve(keyed.keys))

    def _prove(self, step: Proved | Disproved) -> None:
        keyed, self._keyed = self._keyed, None
        assert keyed is not None  # noqa: S101 - such a step comes only after NeedKeys
        name, _ = self._names(step.authzid, step.authcid)
        final = step.message if isinstance(step, Proved) else None
        self._start(partial(self._conclude, name, lambda: keyed.conclude(step), final))

    async def _conclude(self, name: Identity, decide: Callable[[], Awaitable[Decision]], final: bytes | None) -> Decision:
        """Have it decided within the deadline, and tell it."""
        decision = self._late(name)
        with trio.move_on_at(self._arrived + self.port.deadline):
            decision = await decide()
        await self._tell(decision, final)
        return decision

    async def _tell(self, decision: Decision, final: bytes | None) -> None:
        session, port, reading = self._session, self.port, self.port.reading
        decision = await self._weighed(decision)
        address = reading.address(self._auth)
        seconds = trio.current_time() - self._arrived
        line = Asked(reading.service(self._auth), port.path, address, seconds, self._auth.mechanism, self._authzid)
        port.record.decision(decision, line, session.connection.peer)
        if not session.is_open(self.request):
            return
        name = identity.written(decision.user)
        match decision.verdict:
            case Accepted():
                session.ok(self.request, name, final)
            case Unavailable():
                await trio.sleep(OUTAGE_DELAY)
                await self._tell_outage(name)
            case Rejected(hold=hold) | UnknownUser(hold=hold):
                await port.held.until_due(self._arrived, address_known=address is not None, hold=hold)
                if session.is_open(self.request):
                    session.fail(self.request, REJECTED, name)

    async def _weighed(self, decision: Decision) -> Decision:
        """A no by keys is one only where everybody has some: else it may say no more than that this account has none (and an smtpd that
        was told of the mechanism before goes on offering it). So it is "later" then, to all that fail alike (rule D6).
        """
        verdict, mechanism = decision.verdict, self._auth.mechanism
        if not isinstance(verdict, Rejected | UnknownUser) or MECHANISMS[mechanism].need is not Need.KEYS:
            return decision
        why = await self.port.withheld(mechanism)
        return decision._replace(verdict=Unavailable(f"{mechanism} is not offered to all here: {why}")) if why else decision

    async def _tell_outage(self, name: Identity) -> None:
        """By the end of the connection, where that hurts no other request that waits for us (rule E4)."""
        session = self._session
        await session.flush()
        if not session.is_open(self.request):
            return
        if self.port.reading.listen.on_unavailable == "fail" or session.owes_others(self.request):
            session.fail(self.request, UNAVAILABLE, name)
        else:
            session.close()

    def _refuse(self, why: str, login: bytes = b"", failure: Failure = REJECTED) -> None:
        port = self.port
        port.record.refused(why, port.path, self._session.connection.peer, login, port.reading.address(self._auth))
        self._session.fail(self.request, failure, None)

    def _plain_name(self) -> bytes:
        """Who tries, where the first message says it: for the log of a login that goes no further."""
        initial = self._auth.initial
        if self._auth.mechanism != "PLAIN" or initial is None:
            return b""
        try:
            return plain.parse(initial.reveal()).authcid.encode()
        except plain.MalformedPlain:
            return b""

    def _names(self, authzid: str, authcid: str) -> tuple[Identity, Identity | None]:
        name, acting = self.port.reading.names(authzid, authcid)
        self._authzid = str(acting) if acting else ""
        return name, acting

    def _sought(self, authzid: str, authcid: str) -> Sought:
        reading = self.port.reading
        name, acting = self._names(authzid, authcid)
        return Sought(name, reading.service(self._auth), reading.address(self._auth), self.port.path, acting)

    def _late(self, name: Identity) -> Decision:
        return Decision(Unavailable(f"no answer within {self.port.deadline:g} s"), str(name))
