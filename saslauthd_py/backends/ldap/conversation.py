"""One login's questions to the directory: each is a step of a trace, and what became of the secret is known at the end."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

from saslauthd_py import trace
from saslauthd_py.backends.ldap import verdicts
from saslauthd_py.backends.ldap.directory import Answer, Directory, DirectoryFailed, LinkLost
from saslauthd_py.backends.ldap.verdicts import CannotTell
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.trace import Fact
from saslauthd_py.verdict import Accepted, Rejected, UnknownUser
from saslauthd_py.wire.ldap import BindRequest, CompareRequest, Search, SearchRequest, describe, text

_MOST_SHOWN = 10
"""Entries of one search that a trace names."""

_COMPARED: ContextVar[Secret | None] = ContextVar("compared", default=None)


def was_compared(secret: Secret) -> bool:
    """Whether this task's login has compared this very secret with anything: then it owes no more work (rule D6)."""
    return _COMPARED.get() is secret


def shown(name: bytes) -> str:
    """A name of the directory's for a log or a trace."""
    return name.decode("utf-8", "backslashreplace")


@dataclass(slots=True)
class Conversation:
    """A login under way. `values` are those of its tokens, always in one order; `judged` as in `verdict.Unavailable`, at any time.

    `identity` is the one that a yes confirms, `replayable` what it says of itself: a server may take one-time passwords, and nobody can
    see it. All that is asked raises DirectoryFailed.
    """

    directory: Directory
    identity: Identity
    secret: Secret = field(repr=False)
    values: Mapping[str, bytes]
    replayable: bool = True
    judged: bool = field(default=False, init=False)

    @property
    def key(self) -> tuple[bytes, ...]:
        """All of the login that the directory's answers can depend on, but for the secret."""
        return tuple(self.values.values())

    def accepted(self, *, sole: bool = True) -> Accepted:
        """The yes; `sole` as in `verdict.Accepted`."""
        return Accepted(self.identity, sole=sole, replayable=self.replayable)

    def search(self, search: Search, base: bytes, values: Mapping[str, bytes]) -> Awaitable[Answer]:
        """Search below `base`, with these values in the filter's places."""
        question = self.directory.search(SearchRequest(search, base, values))
        if not trace.recordings:
            return question

        def facts() -> dict[str, Fact]:
            return {"base": shown(base), "scope": search.scope.name.lower(), "filter": text(search.filter, values)}

        return _noted("ldap-search", facts, question)

    def compare(self, dn: bytes, attribute: bytes, value: bytes) -> Awaitable[Answer]:
        """Ask whether an entry has this value."""
        question = self.directory.compare(CompareRequest(dn, attribute, value))
        if not trace.recordings:
            return question
        return _noted("ldap-compare", lambda: {"dn": shown(dn), "attribute": shown(attribute), "value": shown(value)}, question)

    async def bind(self, dn: bytes, *, found: bool) -> Rejected | UnknownUser | None:
        """Bind as this entry, as `verdicts.of_bind` has it: this answer decides, and nothing else (rule G1)."""
        try:
            question = self.directory.bind(BindRequest(dn, self.secret))
            answer = await (_noted("ldap-bind", lambda: {"dn": shown(dn)}, question) if trace.recordings else question)
            refused = verdicts.of_bind(answer, found=found) if answer.code else None
        except (LinkLost, CannotTell) as error:
            self.judged |= isinstance(error, LinkLost) or error.judged
            raise
        self.compared()
        return refused

    def compared(self) -> None:
        """The secret has been compared with something, here or there."""
        self.judged = True
        _COMPARED.set(self.secret)


async def _noted(step: str, facts: Callable[[], dict[str, Fact]], question: Awaitable[Answer]) -> Answer:
    """The answer, after it has become a step of the trace, and how long it took; so has a failure."""
    began = time.monotonic()
    try:
        answer = await question
    except DirectoryFailed as error:
        trace.note(step, **facts(), failed=str(error), ms=_ms(began))
        raise
    words = "; ".join(filter(None, (verdicts.meaning(answer.code, answer.diagnostic), answer.diagnostic)))
    said: dict[str, Fact] = {"server": answer.server, "result": describe(answer.code), "diagnostic": words}
    if step == "ldap-search":
        more = len(answer.entries) - _MOST_SHOWN  # Samba sends all that there are, whatever limit it was given
        said["found"] = [*(shown(entry.name) for entry in answer.entries[:_MOST_SHOWN]), *([f"{more} more"] if more > 0 else [])]
    trace.note(step, **facts(), **said, ms=_ms(began))
    return answer


def _ms(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 3)
