"""`test`: a login as a mail server would send it, or decided in this process."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

from saslauthd_py.cli import pwcheck_client, saslauthd_client, secret_input, traced
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.report import Fields, Record
from saslauthd_py.cli.socket_client import Answer, Reply
from saslauthd_py.wire.pwcheck import SERVICE
from saslauthd_py.wire.saslauthd import Request

if TYPE_CHECKING:
    from saslauthd_py.config.settings import Listen, Settings
    from saslauthd_py.secret import Secret
    from saslauthd_py.trace import Step

VERDICTS = {"OK": Exit.DONE, "NO": Exit.DENIED, "unavailable": Exit.UNAVAILABLE}
"""From good to bad; several tries end with the worst."""

_ANSWERS = {
    Answer.ACCEPTED: ("OK", "accepted"),
    Answer.REJECTED: ("NO", "rejected"),
    Answer.LATE: ("unavailable", "no answer in time: a mail server waits on"),
}
_CLOSED = {
    "saslauthd": ("unavailable", "closed without an answer: a mail server says 454, try later"),
    "pwcheck": ("unavailable", "closed without an answer: a mail server takes that for a wrong password, this protocol knows no other"),
}

_VERDICTS_OF = {"accepted": "OK", "rejected": "NO", "refused": "NO", "unavailable": "unavailable"}

_DEFAULT_SERVICE = "smtp"


@dataclass(frozen=True, slots=True)
class Login:
    """One login and its protocol. `request` has it in the words of the saslauthd protocol, which can say all that the others can."""

    protocol: str
    request: Request
    ask: Callable[[str], Reply]


@dataclass(frozen=True, slots=True)
class Trial:
    """One try: the verdict, what it means, and the seconds it took. `steps`: how it came about, where that was asked for."""

    verdict: str
    meaning: str
    seconds: float
    steps: list[Step] = field(default_factory=list)


def run(arguments: argparse.Namespace, environment: Environment) -> Record:
    """Ask --count times, one after the other. Raises CommandFailed where nobody can be asked."""
    client = _address(arguments.client_ip)
    if arguments.trace and arguments.count > 1:
        raise CommandFailed(Exit.USAGE, "--trace: tells of one login; leave --count out")
    if arguments.protocol == "pwcheck":
        _check_pwcheck(arguments)
    secret = secret_input.given(arguments, environment) or secret_input.asked_once(environment, arguments.user)
    login = _pwcheck(arguments, secret) if arguments.protocol == "pwcheck" else _saslauthd(arguments, secret, client)
    by, attempt = _way(arguments, login)
    trials = [attempt() for _ in range(arguments.count)]
    return _traced(trials[0], login, by) if arguments.trace else _report(trials, login.request, by)


def _saslauthd(arguments: argparse.Namespace, secret: Secret, client: str) -> Login:
    service = _DEFAULT_SERVICE if arguments.service is None else arguments.service
    request = saslauthd_client.as_libsasl(arguments.user, secret, service, arguments.realm, client)
    return Login("saslauthd", request, lambda path: saslauthd_client.ask(path, request))


def _pwcheck(arguments: argparse.Namespace, secret: Secret) -> Login:
    request = pwcheck_client.as_libsasl(arguments.user, secret)
    return Login("pwcheck", Request(request.userid, secret, SERVICE.encode(), b""), lambda path: pwcheck_client.ask(path, request))


def _check_pwcheck(arguments: argparse.Namespace) -> None:
    flags = {"--realm": arguments.realm, "--service": arguments.service, "--client-ip": arguments.client_ip}
    if unsaid := [flag for flag, value in flags.items() if value]:
        line = f"{unsaid[0]}: a pwcheck request is a name and a password and says no more; a realm is part of the name, USER@REALM"
        raise CommandFailed(Exit.USAGE, line)


def _way(arguments: argparse.Namespace, login: Login) -> tuple[str, Callable[[], Trial]]:
    """By whom it is decided, and how to ask."""
    if arguments.socket and arguments.trace:
        return _daemon_traced(arguments, login, arguments.socket)
    if arguments.socket:
        return arguments.socket, lambda: _over(arguments.socket, login)
    settings = _settings(arguments)
    listen = next((listen for listen in settings.listen if listen.protocol == login.protocol), None)
    if listen is None:
        line = f"the configuration has no [[listen]] of protocol {login.protocol}: name a socket with --socket"
        raise CommandFailed(Exit.CONFIGURATION, line)
    if arguments.direct:
        return _directly(settings, login.request, listen)
    if arguments.trace:
        return _daemon_traced(arguments, login, listen.path)
    return listen.path, lambda: _over(listen.path, login)


def _over(path: str, login: Login) -> Trial:
    reply = login.ask(path)
    verdict, meaning = _CLOSED[login.protocol] if reply.answer is Answer.CLOSED else _ANSWERS[reply.answer]
    return Trial(verdict, meaning, reply.seconds)


def _daemon_traced(arguments: argparse.Namespace, login: Login, listener: str) -> tuple[str, Callable[[], Trial]]:
    from saslauthd_py.cli.daemon_control import socket_of
    from saslauthd_py.control import client

    path = socket_of(arguments)

    def ask() -> Trial:
        steps: list[Step] = []
        began = time.monotonic()
        verdict = _VERDICTS_OF[str(client.trace(path, listener, login.request, steps.append))]
        return Trial(verdict, "as the daemon decided it", time.monotonic() - began, steps)

    return path, ask


def _directly(settings: Settings, request: Request, listen: Listen) -> tuple[str, Callable[[], Trial]]:
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
            decision = direct.decide(request, listen)
        seconds = time.monotonic() - began
        asked = Asked(_text(request.service), listen.path, None, seconds)
        line = kv.decision(decision.user, decision.verdict, decision.backend, asked).decode()
        match decision.verdict:
            case Accepted():
                return Trial("OK", line, seconds, steps)
            case Unavailable():
                return Trial("unavailable", line, seconds, steps)
            case _:
                return Trial("NO", line, seconds, steps)

    return f"this process as {become_daemon(settings)}", decide


def _report(trials: list[Trial], request: Request, by: str) -> Record:
    counts = {verdict: sum(trial.verdict == verdict for trial in trials) for verdict in VERDICTS}
    worst = next(trial for verdict in reversed(VERDICTS) for trial in trials if trial.verdict == verdict)
    times = [trial.seconds for trial in trials]
    spread = {"min": min(times), "median": statistics.median(times), "max": max(times)}
    sent = {"login": _text(request.login), "realm": _text(request.realm), "service": _text(request.service)}
    words = ", ".join(f"{name} {value}" for name, value in sent.items() if value)
    shown: Fields | tuple[str, ...] = (f"{worst.verdict}  {_milliseconds(worst.seconds)}  {worst.meaning} ({words}; by {by})",)
    if len(trials) > 1:
        shown = {**counts, **{name: _milliseconds(seconds) for name, seconds in spread.items()}}
    fields: Fields = {"verdict": worst.verdict, "meaning": worst.meaning, "by": by, **sent, "tries": counts, "seconds": spread}
    return Record(fields, shown, VERDICTS[worst.verdict])


def _traced(trial: Trial, login: Login, by: str) -> Record:
    steps = [{"step": step.name, "seconds": step.seconds, **step.facts} for step in trial.steps]
    told = _report([trial], login.request, by)
    shown = (*traced.lines(trial.steps, login.protocol, trial.verdict), *(told.shown or ()))
    return Record({**told.fields, "seen": traced.SEEN[login.protocol][trial.verdict], "steps": steps}, shown, told.exit)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _settings(arguments: argparse.Namespace) -> Settings:
    from saslauthd_py.config.load import DEFAULT_PATH, load

    return load(arguments.config or DEFAULT_PATH)


def _address(text: str | None) -> str:
    try:
        return str(ip_address(text)) if text else ""
    except ValueError:
        raise CommandFailed(Exit.USAGE, f"--client-ip {text}: not an IP address") from None


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")
