"""A login over Dovecot's protocol as `test --trace` tries it: read as the front reads it, decided as it decides, and each step told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import trio

from saslauthd_py import trace
from saslauthd_py.admission import Admission
from saslauthd_py.app.composition import Composed
from saslauthd_py.app.trial import Trial, dialect
from saslauthd_py.authenticator import Authenticator, Decision, Grounds
from saslauthd_py.backend import KeysFound
from saslauthd_py.cache import Cache
from saslauthd_py.cli import traced
from saslauthd_py.config.settings import AdmissionSettings, IdentitySettings, Listen, ServerSettings, Settings
from saslauthd_py.control.protocol import PLAIN, Sasl
from saslauthd_py.front.one_request import Refusal
from saslauthd_py.identity import Identity
from saslauthd_py.keys import AccountKeys, Hash, Keys
from saslauthd_py.proxy_users import ProxyUsers
from saslauthd_py.queue import Queue
from saslauthd_py.routing import Member, Route, Routes
from saslauthd_py.secret import Secret
from saslauthd_py.trace import Step
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser
from saslauthd_py.wire.saslauthd import Request
from tests.desks import grant
from tests.front.dovecots import KeyedBackend

EVERYTHING = frozenset({"*"})
ALICE, RIGHT, WRONG = b"alice@example.test", b"pw1", b"geheim"
LOGIN, SCRAM, SCRAM_1, EXTERNAL = (Sasl(name) for name in ("LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-1", "EXTERNAL"))
BY_PASSWORD = pytest.mark.parametrize("sasl", [PLAIN, LOGIN], ids=str)
BY_KEYS = pytest.mark.parametrize("sasl", [SCRAM, SCRAM_1], ids=str)
BY_SECRET = pytest.mark.parametrize("sasl", [PLAIN, LOGIN, SCRAM, SCRAM_1], ids=str)


@dataclass
class Tried:
    """One listener, and what a trial told last."""

    trial: Trial
    listen: Listen
    backend: KeyedBackend
    steps: list[Step] = field(default_factory=list)

    async def ask(
        self, login: bytes = ALICE, secret: bytes = RIGHT, sasl: Sasl = PLAIN, client: bytes = b"192.0.2.7;0", service: bytes = b"smtp"
    ) -> Decision | Refusal:
        self.steps.clear()
        with trace.recording(self.steps.append):
            answer = await self.trial.ask(self.listen, 3, Request(login, Secret(secret), service, b"", client), sasl)
        assert secret.decode() not in str(self.steps), "a step shows no secret"
        return answer

    async def decision(self, login: bytes = ALICE, secret: bytes = RIGHT, sasl: Sasl = PLAIN) -> Decision:
        answer = await self.ask(login, secret, sasl)
        assert isinstance(answer, Decision)
        return answer

    def facts(self, name: str) -> dict[str, Any]:
        (found,) = (step.facts for step in self.steps if step.name == name)
        return dict(found)

    @property
    def names(self) -> list[str]:
        return [step.name for step in self.steps]

    def text(self, verdict: str = "OK") -> str:
        return "\n".join(traced.lines(self.steps, "dovecot", verdict))


@asynccontextmanager
async def trying(backend: KeyedBackend | None = None, *, deadline: float = 8.0, **listen: Any) -> AsyncIterator[Tried]:
    backend = backend or KeyedBackend()
    listener = Listen.model_validate({"protocol": "dovecot", "path": "/run/auth", "mode": "0600", **listen})
    server = ServerSettings.model_validate({"deadline": f"{deadline:g}s"})
    settings = Settings(listen=(listener,), server=server, identity=IdentitySettings(default_realm="example.test"))
    cache = Cache(1000, trio.current_time, [("users", backend)])
    member = Member("users", backend, Queue(64), 60.0, watched=backend, used={}, keyed=backend)
    routes = Routes([Route(frozenset({"example.test"}), EVERYTHING, EVERYTHING, (member,))])
    async with trio.open_nursery() as nursery:
        grants = ProxyUsers((grant("alice@example.test", "bob@example.test"),))
        grounds = Grounds(routes, cache, Admission(AdmissionSettings(), trio.current_time), grants)
        parts = Composed(Authenticator(grounds, nursery, deadline), cache, routes, {"users": member}, (), ())
        yield Tried(Trial(settings, parts), listener, backend)
        nursery.cancel_scope.cancel()


@BY_SECRET
async def test_right_secret_is_accepted_by_each_mechanism(sasl: Sasl) -> None:
    async with trying() as it:
        decision = await it.decision(ALICE, RIGHT, sasl=sasl)
        assert isinstance(decision.verdict, Accepted)
        assert (decision.user, decision.backend) == ("alice@example.test", "users")
        assert it.facts("asked") == {
            "listener": "/run/auth",
            "protocol": "dovecot",
            "login": "alice@example.test",
            "realm": "",
            "service": "smtp",
            "client": "192.0.2.7",
            "believed": True,
            "mechanism": sasl.mechanism,
            "authzid": "",
            "secured": True,
            "secured_believed": True,
            "on_unavailable": "close",
        }
        assert it.facts("split") == {"local": "alice", "realm": "example.test", "service": "smtp", "authzid": ""}
        assert it.names[:3] == ["asked", "split", "route"]
        assert it.names[-1] == "verdict"
        assert f"service smtp, client 192.0.2.7, {sasl.mechanism}, over TLS" in it.text()
        assert "OK: Postfix says 235" in it.text()


@BY_SECRET
async def test_wrong_secret_is_rejected_by_each_mechanism(sasl: Sasl) -> None:
    async with trying() as it:
        decision = await it.decision(ALICE, WRONG, sasl=sasl)
        assert decision.verdict == Rejected(Reason.WRONG_SECRET)
        assert it.facts("counted")["failure"]
        assert "signature" not in it.names
        assert "FAIL: Postfix says 535" in it.text("NO")


@BY_KEYS
async def test_scram_shows_the_keys_and_that_the_client_believes_the_server(sasl: Sasl) -> None:
    async with trying() as it:
        await it.decision(ALICE, RIGHT, sasl=sasl)
        assert it.facts("keys") == {"backend": "users", "rounds": 4096, "secrets": 1, "verdict": "keys"}
        assert it.facts("signature") == {"right": True}
        assert "users has keys of 1 password, of 4096 rounds" in it.text()
        assert "right: the client knows that this server has its keys" in it.text()


@BY_KEYS
async def test_scram_for_nobody_goes_by_a_decoy_and_says_so_to_the_admin(sasl: Sasl) -> None:
    async with trying() as it:
        decision = await it.decision(b"nobody@example.test", RIGHT, sasl=sasl)
        assert isinstance(decision.verdict, UnknownUser)
        assert it.facts("decoy")["reason"] == "unknown-user"
        assert "made up, for the proof to fail by: rejected: unknown-user" in it.text("NO")


@BY_PASSWORD
async def test_proof_is_found_by_the_next_whatever_the_password_mechanism(sasl: Sasl) -> None:
    async with trying() as it:
        assert not (await it.decision(sasl=sasl)).cached
        for again in (PLAIN, LOGIN):
            assert (await it.decision(sasl=again)).cached
            assert it.facts("cache")["hit"]


async def test_name_without_a_realm_has_the_default_one() -> None:
    async with trying() as it:
        assert (await it.decision(b"alice")).user == "alice@example.test"


async def test_realm_of_its_own_is_put_behind_the_name() -> None:
    """As a `test` for a saslauthd listener says it, when the listener that it names is one of Dovecot's protocol."""
    async with trying() as it:
        request = Request(b"alice", Secret(RIGHT), b"smtp", b"example.test")
        answer = await it.trial.ask(it.listen, 0, request)
        assert isinstance(answer, Decision)
        assert answer.user == "alice@example.test"


@pytest.mark.parametrize("sasl", [PLAIN, SCRAM, SCRAM_1], ids=str)
async def test_authzid_that_is_granted_is_who_is_logged_in(sasl: Sasl) -> None:
    async with trying() as it:
        decision = await it.decision(ALICE, RIGHT, sasl=Sasl(sasl.mechanism, b"bob@example.test"))
        assert (decision.user, decision.authcid) == ("bob@example.test", "alice@example.test")
        assert it.facts("split")["authzid"] == "bob@example.test"
        assert "alice@example.test may act as bob@example.test" in it.text()
        assert "accepted, for alice@example.test as bob@example.test, said users" in it.text()


@BY_KEYS
async def test_authzid_that_nobody_granted_is_named(sasl: Sasl) -> None:
    async with trying() as it:
        decision = await it.decision(ALICE, RIGHT, sasl=Sasl(sasl.mechanism, b"carol@example.test"))
        assert decision.verdict == Rejected(Reason.AUTHZID)
        assert "alice@example.test may not act as carol@example.test: no [[proxy_user]] says so" in it.text("NO")


@BY_PASSWORD
async def test_require_tls_refuses_a_password_in_clear_and_scram_goes_on(sasl: Sasl) -> None:
    async with trying(require_tls=True) as it:
        answer = await it.ask(sasl=Sasl(sasl.mechanism, secured=False))
        assert answer == Refusal(f"{sasl.mechanism} without TLS, and require_tls is set")
        assert it.names == ["asked", "refused"]
        assert f"{sasl.mechanism}, without TLS\n" in it.text("NO")
        assert isinstance((await it.decision(sasl=Sasl("SCRAM-SHA-256", secured=False))).verdict, Accepted)
        assert isinstance((await it.decision(sasl=sasl)).verdict, Accepted)


async def test_d10_tls_and_address_are_believed_only_of_a_trusted_listener() -> None:
    async with trying(trust="none") as it:
        assert isinstance((await it.decision()).verdict, Accepted)
        assert "client 192.0.2.7, which this listener is not trusted to name, PLAIN, over TLS, which this listener is not" in it.text()


async def test_mechanism_that_is_not_offered_is_refused_with_its_reason() -> None:
    async with trying(mechanisms=("PLAIN",)) as it:
        assert await it.ask(sasl=SCRAM) == Refusal("SCRAM-SHA-256 is not offered: the listener's `mechanisms` does not name it", ALICE)
        assert await it.ask(sasl=LOGIN) == Refusal("LOGIN is not offered: only PLAIN", ALICE)
        assert it.names == ["asked", "refused"]


async def test_d10_external_is_the_certificate_s_name_where_the_listener_is_trusted_with_it() -> None:
    async with trying(trust="certificate", mechanisms=("EXTERNAL",), allow_users=("root",)) as it:
        assert (await it.decision(ALICE, b"unsent", sasl=EXTERNAL)).user == "alice@example.test"
        assert isinstance((await it.decision(b"nobody@example.test", b"unsent", sasl=EXTERNAL)).verdict, UnknownUser)
        it.listen = it.listen.model_copy(update={"trust": "tls"})  # no configuration says so
        answer = await it.ask(secret=b"unsent", sasl=EXTERNAL)
        assert isinstance(answer, Refusal)
        assert "without a client certificate that a trusted listener has checked" in answer.why


@pytest.mark.parametrize(
    ("login", "secret", "sasl", "service", "why"),
    [
        (b"al\xe2\x80\x8bice@example.test", RIGHT, PLAIN, b"smtp", "name holds a control"),
        (b"al\x07ice@example.test", RIGHT, SCRAM, b"smtp", "name holds a control"),
        (b"alice\xff", RIGHT, PLAIN, b"smtp", "PLAIN with a name that is not UTF-8"),
        (b"alice\xff", RIGHT, SCRAM, b"smtp", "the mail client cannot ask so: SCRAM cannot carry a name that is not UTF-8"),
        (ALICE, b"pw\xff", SCRAM, b"smtp", "the mail client goes no further: "),
        (ALICE, b"x" * 20_000, PLAIN, b"smtp", "no such request can be sent in this protocol"),
        (ALICE, b"x" * 20_000, LOGIN, b"smtp", "no such request can be sent in this protocol"),
        (ALICE, RIGHT, PLAIN, b"", "AUTH without service="),
        (ALICE, b"a\0b", PLAIN, b"smtp", "not PLAIN: 3 NUL in it"),
        (ALICE, b"a\0b", LOGIN, b"smtp", "LOGIN with a NUL in its password"),
    ],
)
async def test_what_is_refused_before_anybody_is_asked(login: bytes, secret: bytes, sasl: Sasl, service: bytes, why: str) -> None:
    async with trying() as it:
        with trace.recording(it.steps.append):
            answer = await it.trial.ask(it.listen, 0, Request(login, Secret(secret), service, b""), sasl)
        assert isinstance(answer, Refusal)
        assert answer.why.startswith(why)
        assert it.facts("refused") == {"why": answer.why}
        assert not it.backend.asked


@BY_SECRET
async def test_outage_is_one_by_each_mechanism(sasl: Sasl) -> None:
    backend = KeyedBackend(verdicts=[Unavailable("disk gone")], answers=[Unavailable("disk gone")])
    async with trying(backend) as it:
        assert (await it.decision(sasl=sasl)).verdict == Unavailable("disk gone")
        assert "closed without an answer: Postfix says 454" in it.text("unavailable")


async def test_outage_is_told_as_the_listener_tells_it() -> None:
    async with trying(KeyedBackend(verdicts=[Unavailable("disk gone")]), on_unavailable="fail") as it:
        await it.decision()
        assert "FAIL with code=temp_fail" in it.text("unavailable")
        assert "535" in it.text("unavailable")


@pytest.mark.parametrize("sasl", [PLAIN, SCRAM], ids=str)
async def test_answer_of_ours_that_takes_too_long_is_an_outage(sasl: Sasl, autojump_clock: trio.testing.MockClock) -> None:
    async with trying(KeyedBackend(gate=trio.Event()), deadline=5.0) as it:
        assert (await it.decision(sasl=sasl)).verdict == Unavailable("no answer within 5 s")
        assert trio.current_time() == pytest.approx(5, abs=0.01)


@dataclass
class FewRounds(KeyedBackend):
    """Keys as a file of another program may have them."""

    def decoy(self, name: Identity, function: Hash) -> AccountKeys:
        return AccountKeys(b"salt", 1000, ((1, Keys(b"salt", 1000, bytes(32), bytes(32))),))


async def test_client_that_does_not_trust_the_server_s_offer_goes_no_further() -> None:
    async with trying(FewRounds()) as it:
        answer = await it.ask(b"nobody@example.test", sasl=SCRAM)
        assert isinstance(answer, Refusal)
        assert answer.why.startswith("the mail client goes no further: SCRAM with 1000 rounds")


@dataclass
class ForeignServerKeys(KeyedBackend):
    """Keys of which one half is another password's."""

    async def find_keys(self, name: Identity, function: Hash) -> KeysFound | Rejected | UnknownUser | Unavailable:
        found = await super().find_keys(name, function)
        assert isinstance(found, KeysFound)
        secrets = tuple((number, replace(keys, server_key=bytes(32))) for number, keys in found.keys.secrets)
        return replace(found, keys=replace(found.keys, secrets=secrets))


async def test_success_that_the_client_will_not_believe_is_told() -> None:
    async with trying(ForeignServerKeys()) as it:
        assert isinstance((await it.decision(sasl=SCRAM)).verdict, Accepted)
        assert not it.facts("signature")["right"]
        assert "the client hangs up: SCRAM with a wrong server signature" in it.text()


async def test_dovecot_s_protocol_has_no_dialect_of_one_request() -> None:
    async with trying() as it:
        with pytest.raises(ValueError, match="many requests"):
            dialect(it.trial.settings, it.listen)
