"""What a trace tells of logins in which no secret is sent, and of those that act as another; nothing secret is in it."""

from __future__ import annotations

from trio.testing import MockClock

from saslauthd_py import trace
from saslauthd_py.identity import Identity
from saslauthd_py.routing import Next
from saslauthd_py.trace import Step
from tests.authenticator.keyed_backends import ScriptedKeys, keys_of, login, sought
from tests.desks import Plan, desk, grant
from tests.front.fronts import ScriptedBackend

GRANTS = (grant("alice@example.test", "bob@example.test"),)


async def traced(name: str = "alice@example.test", secret: bytes = b"pw1", *, authzid: str = "", service: str = "smtp") -> list[Step]:
    steps: list[Step] = []
    plan = Plan(frozenset({Next.UNKNOWN}), keyed={"users": ScriptedKeys()}, grants=GRANTS, services={"users": frozenset({"smtp"})})
    async with desk(plan, system=ScriptedBackend(), users=ScriptedBackend()) as it:
        with trace.recording(steps.append):
            await login(it, secret, sought(name, authzid=authzid, service=service))
    secrets = [keys_of(b"pw1").stored_key, keys_of(b"pw1").server_key, b"pw1"]
    shown = "".join(str(step.facts) for step in steps)
    assert not [one for one in secrets if one.hex() in shown or repr(one) in shown or "pw1" in shown]
    return steps


def names(steps: list[Step]) -> list[str]:
    return [step.name for step in steps]


def facts(steps: list[Step], name: str) -> trace.Facts:
    return next(step.facts for step in steps if step.name == name)


async def test_login_by_keys(autojump_clock: MockClock) -> None:
    steps = await traced()
    assert names(steps) == [
        *("route", "unable", "asking", "backend", "keys"),
        *("limits", "proof", "asking", "backend", "rules", "counted"),
    ]
    assert facts(steps, "limits") == {"limits": 1, "met": ""}
    assert facts(steps, "unable") == {"name": "system"}
    assert facts(steps, "backend")["verdict"] == "keys"
    assert facts(steps, "keys") == {"backend": "users", "rounds": 4096, "secrets": 1, "verdict": "keys"}
    assert facts(steps, "proof") == {"ticket": False}
    assert facts(steps, "rules") == {"verdict": "accepted"}


async def test_decoy_is_told_with_what_it_is_for(autojump_clock: MockClock) -> None:
    steps = await traced("nobody@example.test")
    assert names(steps)[-3:] == ["decoy", "limits", "counted"]
    assert facts(steps, "decoy") == {
        "backend": "system", "rounds": 4096, "secrets": 0, "verdict": "rejected", "reason": "unknown-user",
    }  # fmt: skip


async def test_keys_that_are_shown_for_nothing_are_told_with_what_they_are_refused_for(autojump_clock: MockClock) -> None:
    steps = await traced(service="imap")
    assert facts(steps, "not-asked")["service"] == "imap"
    assert facts(steps, "keys")["reason"] == "service"
    assert "proof" not in names(steps)


async def test_authzid_is_told(autojump_clock: MockClock) -> None:
    granted = facts(await traced(authzid="bob@example.test"), "authzid")
    assert granted == {"authcid": "alice@example.test", "authzid": "bob@example.test", "granted": True}
    assert facts(await traced(authzid="eve@example.test"), "authzid")["granted"] is False
    assert "authzid" not in names(await traced())


async def test_authzid_of_a_password_is_told_at_a_cache_hit_too(autojump_clock: MockClock) -> None:
    async with desk(Plan(grants=GRANTS), users=ScriptedBackend()) as it:
        for cached in (False, True):
            steps: list[Step] = []
            with trace.recording(steps.append):
                assert (await it.ask(authzid=Identity("bob", "example.test"))).cached is cached
            assert facts(steps, "authzid")["granted"] is True
        steps = []
        with trace.recording(steps.append):
            await it.ask(authzid=Identity("eve", "example.test"))
        assert names(steps) == ["route", "authzid", "admission", "counted"]
