"""A site's own form as a backend: each login is a POST, and the status of the answer is the verdict."""

from __future__ import annotations

import time
from typing import Protocol

import trio

from saslauthd_py import identity, trace
from saslauthd_py.backend import Attempt
from saslauthd_py.backends.http_form import bodies
from saslauthd_py.backends.http_form.bodies import Unsendable
from saslauthd_py.backends.http_form.page import named
from saslauthd_py.config.settings.http_form import HttpFormSettings
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.remote.failing import Failed
from saslauthd_py.remote.refusals import Refusals
from saslauthd_py.remote.standing import Standing
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict

_NOT_JUDGED = frozenset({404, 405, 406, 408, 411, 413, 414, 415, 421, 429, 431, 501, 502, 503, 504, 505})
"""What a server says before anybody has looked at the password; a redirect too. Any other outage may hang on whether it was right (D9)."""

_REDIRECTS = range(300, 400)


class Posted(Protocol):
    """What the backend asks: `page.Page`."""

    async def post(self, body: bytes) -> int:
        """As `page.Page.post`."""

    async def probe(self) -> int:
        """As `page.Page.probe`."""


class HttpFormBackend:
    """Implements `Backend`. `nursery` runs what finds out whether the page is up."""

    def __init__(self, settings: HttpFormSettings, page: Posted, nursery: trio.Nursery) -> None:
        self._settings = settings
        self._page = page
        self._pieces = settings.pieces
        self._refusals = Refusals()
        self._standing = Standing(settings.url, page.probe, nursery)

    async def verify_password(self, attempt: Attempt) -> Verdict:
        """As `Backend.verify_password`. `timeout` bounds the question; cancelled, it costs a connection.

        A yes confirms the name that was asked: the page names no other (rule B1).
        """
        try:
            name = identity.render(self._settings.login, attempt.identity)
        except InvalidIdentity:
            return UnknownUser()
        try:
            body = self._body(name, attempt)
        except Unsendable:
            await self.pretend(attempt.secret)
            return Rejected(Reason.WRONG_SECRET)
        began = trio.current_time()
        try:
            status = await self._status(str(name), body)
        except Failed as error:
            return Unavailable(f"{self._settings.url}: {error}", judged=error.sent)
        verdict = self._verdict(name, status)
        if isinstance(verdict, Rejected):
            self._refusals.judged(attempt.secret)
            self._refusals.note(trio.current_time() - began)
        return verdict

    async def pretend(self, secret: Secret) -> None:
        """As `Backend.pretend`. Nothing for a login that the page has judged."""
        await self._refusals.pretend(secret)

    async def warm(self) -> None:
        """Find out whether the page is up before a login does."""
        await self._standing.warm()

    def _body(self, name: Identity, attempt: Attempt) -> bytes:
        """Raises Unsendable: an empty secret is nobody's; JSON holds none that is not UTF-8."""
        if not attempt.secret:
            raise Unsendable
        values = {
            "u": str(name).encode(),
            "U": name.local.encode(),
            "r": name.realm.encode(),
            "s": attempt.service.encode(),
            "p": attempt.secret.reveal(),
        }
        if self._settings.format == "form" and isinstance(self._pieces, tuple):
            return bodies.form(self._pieces, values)
        return bodies.json_text(self._pieces, values)

    async def _status(self, name: str, body: bytes) -> int:
        """The answer, after it has become a step of the trace, and how long it took; so has a failure."""
        began = time.monotonic()
        try:
            status = await self._standing.ask(name, lambda: self._page.post(body))
        except Failed as error:
            trace.note("http-post", url=self._settings.url, failed=str(error), ms=_ms(began))
            raise
        trace.note("http-post", url=self._settings.url, status=named(status), ms=_ms(began))
        return status

    def _verdict(self, name: Identity, status: int) -> Verdict:
        settings = self._settings
        if status in settings.accept:  # a page may take one-time passwords, and nobody can see it
            return Accepted(name, replayable=settings.cache > 0)
        if status in settings.reject:
            return Rejected(Reason.WRONG_SECRET)
        redirected = status in _REDIRECTS
        advice = ", and a redirect is never followed: correct url" if redirected else "; accept and reject name the statuses that decide"
        return Unavailable(f"{settings.url}: answers {named(status)}{advice}", judged=not redirected and status not in _NOT_JUDGED)


def _ms(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 3)
