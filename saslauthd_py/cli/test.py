"""`test`: a login as a mail server would send it, or decided in this process."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from saslauthd_py.cli import logins, secret_input, socket_client, traced
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.logins import Login
from saslauthd_py.cli.report import Fields, Record
from saslauthd_py.cli.socket_client import Answer, Where
from saslauthd_py.secret import Secret

if TYPE_CHECKING:
    from saslauthd_py.config.settings import Listen, Settings
    from saslauthd_py.trace import Step

VERDICTS = {"OK": Exit.DONE, "NO": Exit.DENIED, "unavailable": Exit.UNAVAILABLE}
"""From good to bad; several tries end with the worst."""

_ANSWERS = {
    Answer.ACCEPTED: ("OK", "accepted"),
    Answer.REJECTED: ("NO", "rejected"),
    Answer.TEMPORARY: ("unavailable", "a temporary failure, which Postfix and Exim take for a wrong password all the same"),
    Answer.CLOSED: ("unavailable", "closed without an answer: a mail server says 454, try later"),
    Answer.LATE: ("unavailable", "no answer in time: a mail server waits on"),
}
_ANSWERS_OF = {
    ("pwcheck", Answer.CLOSED): (
        "unavailable",
        "closed without an answer: a mail server takes that for a wrong password, this protocol knows no other",
    ),
    ("dovecot", Answer.LATE): ("unavailable", "no answer in time: Postfix waits 10 s for one, and then says 454, try later"),
}
"""Where a protocol's clients make something else of an answer."""

_VERDICTS_OF = {"accepted": "OK", "rejected": "NO", "refused": "NO", "unavailable": "unavailable"}


@dataclass(frozen=True, slots=True)
class Trial:
    """One try: the verdict, what it means, the seconds it took, and what the server said with it.

    `steps`: how it came about, where that was asked for.
    """

    verdict: str
    meaning: str
    seconds: float
    said: Mapping[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)


Way = tuple[str, Callable[[], Trial]]
"""By whom a login is decided, and how to ask."""


def run(arguments: argparse.Namespace, environment: Environment) -> Record:
    """Ask --count times, one after the other. Raises CommandFailed where nobody can be asked."""
    if arguments.trace and arguments.count > 1:
        raise CommandFailed(Exit.USAGE, "--trace: tells of one login; leave --count out")
    settings = None if arguments.address or arguments.socket else _settings(arguments)
    protocol = _protocol(arguments, settings)
    logins.check(arguments, protocol)
    login = logins.login(arguments, protocol, _secret(arguments, environment))
    by, attempt = _named(arguments, login) if settings is None else _configured(arguments, login, settings)
    trials = [attempt() for _ in range(arguments.count)]
    return _traced(trials[0], login, by) if arguments.trace else _report(trials, login, by)


def _secret(arguments: argparse.Namespace, environment: Environment) -> Secret:
    if arguments.mechanism == logins.EXTERNAL:
        return Secret(b"")
    return secret_input.given(arguments, environment) or secret_input.asked_once(environment, arguments.user)


def _protocol(arguments: argparse.Namespace, settings: Settings | None) -> str:
    """How to ask, where the command line does not say it."""
    if arguments.protocol is not None:
        return str(arguments.protocol)
    if settings is not None:
        return settings.listen[0].protocol  # there is one, or the configuration is wrong
    return "dovecot" if arguments.address else "saslauthd"


def _named(arguments: argparse.Namespace, login: Login) -> Way:
    """Where the command line names a socket or an address."""
    where: Where = arguments.address or arguments.socket
    if arguments.trace:
        return _daemon_traced(arguments, login, str(where))
    return str(where), lambda: _over(where, login)


def _configured(arguments: argparse.Namespace, login: Login, settings: Settings) -> Way:
    """At a listener of the configuration."""
    listen = next((listen for listen in settings.listen if listen.protocol == login.protocol), None)
    if listen is None:
        line = f"the configuration has no [[listen]] of protocol {login.protocol}: name a socket with --socket"
        raise CommandFailed(Exit.CONFIGURATION, line)
    if arguments.direct:
        return _directly(settings, login, listen)
    if arguments.trace:
        return _daemon_traced(arguments, login, listen.name)
    configured = listen.path or socket_client.tcp(listen.name)
    return listen.name, lambda: _over(configured, login)


def _over(where: Where, login: Login) -> Trial:
    reply = login.ask(where)
    verdict, meaning = _ANSWERS_OF.get((login.protocol, reply.answer)) or _ANSWERS[reply.answer]
    words = [meaning, *(f"{name} {text}" for name, text in reply.said.items())]
    return Trial(verdict, ", ".join(words), reply.seconds, reply.said)


def _daemon_traced(arguments: argparse.Namespace, login: Login, listener: str) -> Way:
    from saslauthd_py.cli.daemon_control import socket_of
    from saslauthd_py.control import client

    path = socket_of(arguments)

    def ask() -> Trial:
        steps: list[Step] = []
        began = time.monotonic()
        verdict = _VERDICTS_OF[str(client.trace(path, client.Trace(listener, login.request, login.sasl), steps.append))]
        return Trial(verdict, "as the daemon decided it", time.monotonic() - began, steps=steps)

    return path, ask


def _directly(settings: Settings, login: Login, listen: Listen) -> Way:
    from saslauthd_py import app, trace
    from saslauthd_py.cli.as_daemon import become_daemon
    from saslauthd_py.log import kv
    from saslauthd_py.log.style import Asked
    from saslauthd_py.verdict import Accepted, Unavailable

    direct = app.Direct(settings)  # as root it has workers that are

    def decide() -> Trial:
        steps: list[Step] = []
        began = time.monotonic()
        with trace.recording(steps.append):
            decision = direct.decide(login.request, listen, login.sasl)
        seconds = time.monotonic() - began
        asked = Asked(_text(login.request.service), listen.name, None, seconds, **login.more)
        line = kv.decision(decision.authcid or decision.user, decision.verdict, decision.backend, asked).decode()
        match decision.verdict:
            case Accepted():
                return Trial("OK", line, seconds, steps=steps)
            case Unavailable():
                return Trial("unavailable", line, seconds, steps=steps)
            case _:
                return Trial("NO", line, seconds, steps=steps)

    return f"this process as {become_daemon(settings)}", decide


def _report(trials: list[Trial], login: Login, by: str) -> Record:
    counts = {verdict: sum(trial.verdict == verdict for trial in trials) for verdict in VERDICTS}
    worst = next(trial for verdict in reversed(VERDICTS) for trial in trials if trial.verdict == verdict)
    times = [trial.seconds for trial in trials]
    spread = {"min": min(times), "median": statistics.median(times), "max": max(times)}
    request = login.request
    sent = {"login": _text(request.login), "realm": _text(request.realm), "service": _text(request.service), **login.more}
    words = ", ".join(f"{name} {value}" for name, value in sent.items() if value)
    shown: Fields | tuple[str, ...] = (f"{worst.verdict}  {_milliseconds(worst.seconds)}  {worst.meaning} ({words}; by {by})",)
    if len(trials) > 1:
        shown = {**counts, **{name: _milliseconds(seconds) for name, seconds in spread.items()}}
    told: Fields = {"verdict": worst.verdict, "meaning": worst.meaning, "by": by, **sent, **worst.said}
    fields: Fields = {**told, "tries": counts, "seconds": spread}
    return Record(fields, shown, VERDICTS[worst.verdict])


def _traced(trial: Trial, login: Login, by: str) -> Record:
    steps = [{"step": step.name, "seconds": step.seconds, **step.facts} for step in trial.steps]
    told = _report([trial], login, by)
    shown = (*traced.lines(trial.steps, login.protocol, trial.verdict), *(told.shown or ()))
    return Record({**told.fields, "seen": traced.seen(trial.steps, login.protocol, trial.verdict), "steps": steps}, shown, told.exit)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _settings(arguments: argparse.Namespace) -> Settings:
    from saslauthd_py.config.load import DEFAULT_PATH, load

    return load(arguments.config or DEFAULT_PATH)


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")
