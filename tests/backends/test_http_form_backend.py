"""What the status of an answer means, and how often the page is asked."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from saslauthd_py import trace
from saslauthd_py.backend import Attempt
from saslauthd_py.backends.http_form import HttpFormBackend
from saslauthd_py.config.settings.http_form import HttpFormSettings
from saslauthd_py.identity import Identity
from saslauthd_py.remote.failing import Failed
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict

URL = "https://auth.example.org/check"
ALICE, SECRET = Identity("alice", "example.org"), Secret(b"hunter2")


class Page:
    """It gives the one answer, after so many seconds."""

    def __init__(self, answer: int | Failed, seconds: float = 0.0) -> None:
        self.bodies: list[bytes] = []
        self.probes = 0
        self._answer = answer
        self._seconds = seconds

    async def post(self, body: bytes) -> int:
        self.bodies.append(body)
        return await self._told()

    async def probe(self) -> int:
        self.probes += 1
        return await self._told()

    async def _told(self) -> int:
        await trio.sleep(self._seconds)
        if isinstance(self._answer, Failed):
            raise self._answer
        return self._answer


def backend(page: Page, nursery: trio.Nursery, **more: object) -> HttpFormBackend:
    keys = {"type": "http_form", "url": URL, "body": "user=%u&local=%U&realm=%r&service=%s&password=%p", **more}
    return HttpFormBackend(HttpFormSettings.model_validate(keys), page, nursery)


async def verdict(answer: int | Failed, nursery: trio.Nursery, **more: object) -> Verdict:
    return await backend(Page(answer), nursery, **more).verify_password(Attempt(ALICE, SECRET, "smtp"))


@pytest.mark.parametrize("status", [200, 204])
async def test_statuses_that_accept(status: int, nursery: trio.Nursery) -> None:
    assert await verdict(status, nursery) == Accepted(ALICE, replayable=False)
    assert await verdict(status, nursery, cache="10s") == Accepted(ALICE)


@pytest.mark.parametrize("status", [401, 403])
async def test_statuses_that_reject(status: int, nursery: trio.Nursery) -> None:
    assert await verdict(status, nursery) == Rejected(Reason.WRONG_SECRET)


async def test_statuses_that_the_admin_names_and_no_others(nursery: trio.Nursery) -> None:
    named = {"accept": [202], "reject": [422]}
    assert isinstance(await verdict(202, nursery, **named), Accepted)
    assert isinstance(await verdict(422, nursery, **named), Rejected)
    for status in (200, 204, 401, 403):
        assert isinstance(await verdict(status, nursery, **named), Unavailable)


@pytest.mark.parametrize("status", [100, 201, 206, 301, 302, 303, 307, 400, 404, 407, 418, 429, 500, 502, 503, 504, 599, 999])
async def test_d8_any_other_status_is_an_outage(status: int, nursery: trio.Nursery) -> None:
    outage = await verdict(status, nursery)
    assert isinstance(outage, Unavailable)
    assert outage.cause.startswith(f"{URL}: answers {status}")
    assert outage.judged is (status in {100, 201, 206, 400, 407, 418, 500, 599, 999})


async def test_redirect_is_told_as_one(nursery: trio.Nursery) -> None:
    told = f"{URL}: answers 302 Found, and a redirect is never followed: correct url"
    assert await verdict(302, nursery) == Unavailable(told)


async def test_d9_page_that_fails_is_an_outage_and_judged_once_a_secret_was_sent(nursery: trio.Nursery) -> None:
    assert await verdict(Failed("Connection refused"), nursery) == Unavailable(f"{URL}: Connection refused")
    assert await verdict(Failed("lost", sent=True), nursery) == Unavailable(f"{URL}: lost", judged=True)


async def test_body_has_each_value_in_its_place(nursery: trio.Nursery) -> None:
    page = Page(200)
    await backend(page, nursery).verify_password(Attempt(Identity("a&b", "example.org"), Secret(b"\xff%\0"), "smtp"))
    assert page.bodies == [b"user=a%26b%40example.org&local=a%26b&realm=example.org&service=smtp&password=%FF%25%00"]


async def test_login_is_rendered_before_it_is_sent(nursery: trio.Nursery) -> None:
    page = Page(200)
    asked = backend(page, nursery, login="{local}", body="%u|%U|%r|%p")
    assert await asked.verify_password(Attempt(ALICE, SECRET, "smtp")) == Accepted(Identity("alice"), replayable=False)
    assert page.bodies == [b"alice|alice||hunter2"]


@pytest.mark.parametrize(("format_", "secret"), [("form", b""), ("json", b""), ("json", b"\xff")])
async def test_d7_secret_that_cannot_be_sent_is_wrong_and_takes_as_long(
    format_: str, secret: bytes, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    page = Page(403, seconds=0.3)
    asked = backend(page, nursery, format=format_, body='{"u": "%u", "p": "%p"}')
    await asked.verify_password(Attempt(ALICE, SECRET, "smtp"))
    began = trio.current_time()
    assert await asked.verify_password(Attempt(ALICE, Secret(secret), "smtp")) == Rejected(Reason.WRONG_SECRET)
    assert trio.current_time() - began == pytest.approx(0.3)
    assert len(page.bodies) == 1


async def test_name_that_is_too_long_for_the_login_is_nobody_s(nursery: trio.Nursery) -> None:
    page = Page(200)
    long = Attempt(Identity("a" * 200, "b" * 200), SECRET, "smtp")
    assert await backend(page, nursery, login="{local}.{realm}").verify_password(long) == UnknownUser()
    assert page.bodies == []


async def test_d6_login_that_the_page_has_judged_owes_no_more(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    asked = backend(Page(403, seconds=0.4), nursery)
    await asked.verify_password(Attempt(ALICE, SECRET, "smtp"))
    began = trio.current_time()
    await asked.pretend(SECRET)
    assert trio.current_time() == began
    await asked.pretend(Secret(b"another"))
    assert trio.current_time() - began == pytest.approx(0.4)


async def test_d8_page_that_is_away_is_not_asked_by_every_login(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    page = Page(Failed("Connection refused"))
    asked = backend(page, nursery)
    for _ in range(3):
        assert await asked.verify_password(Attempt(ALICE, SECRET, "smtp")) == Unavailable(f"{URL}: Connection refused")
    assert len(page.bodies) == 1
    page._answer = 405
    await trio.sleep(2)
    assert isinstance(await asked.verify_password(Attempt(ALICE, SECRET, "smtp")), Unavailable)
    assert (len(page.bodies), page.probes) == (2, 1)


async def test_question_is_a_step_of_the_trace_without_the_secret(nursery: trio.Nursery) -> None:
    steps: list[trace.Step] = []
    with trace.recording(steps.append):
        await verdict(403, nursery)
        await verdict(Failed("Connection refused"), nursery)
    assert "hunter2" not in str(steps)
    assert [step.facts.get("status") or step.facts.get("failed") for step in steps] == ["403 Forbidden", "Connection refused"]
