"""`test`: a login as a mail server would send it, or decided in this process."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from saslauthd_py.cli import secret_input
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.report import Fields, Record
from saslauthd_py.cli.saslauthd_client import Answer, as_libsasl, ask

if TYPE_CHECKING:
    from saslauthd_py.config.settings import Settings
    from saslauthd_py.wire.saslauthd import Request

VERDICTS = {"OK": Exit.DONE, "NO": Exit.DENIED, "unavailable": Exit.UNAVAILABLE}
"""From good to bad; several tries end with the worst."""

_ANSWERS = {
    Answer.ACCEPTED: ("OK", "accepted"),
    Answer.REJECTED: ("NO", "rejected"),
    Answer.CLOSED: ("unavailable", "closed without an answer: a mail server says 454, try later"),
    Answer.LATE: ("unavailable", "no answer in time: a mail server waits on"),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """One try: the verdict, what it means, and the seconds it took."""

    verdict: str
    meaning: str
    seconds: float


def run(arguments: argparse.Namespace, environment: Environment) -> Record:
    """Ask --count times, one after the other. Raises CommandFailed where nobody can be asked."""
    client = _address(arguments.client_ip)
    secret = secret_input.given(arguments, environment) or secret_input.asked_once(environment, arguments.user)
    request = as_libsasl(arguments.user, secret, arguments.service, arguments.realm, client)
    by, attempt = _way(arguments, request)
    return _report([attempt() for _ in range(arguments.count)], request, by)


def _way(arguments: argparse.Namespace, request: Request) -> tuple[str, Callable[[], Trial]]:
    """By whom it is decided, and how to ask."""
    if arguments.socket:
        return arguments.socket, lambda: _over(arguments.socket, request)
    settings = _settings(arguments)
    path = next((listen.path for listen in settings.listen if listen.protocol == "saslauthd"), None)
    if path is None:
        raise CommandFailed(Exit.CONFIGURATION, "the configuration has no [[listen]] of protocol saslauthd: name a socket with --socket")
    if arguments.direct:
        return _directly(settings, request, path)
    return path, lambda: _over(path, request)


def _over(path: str, request: Request) -> Trial:
    reply = ask(path, request)
    return Trial(*_ANSWERS[reply.answer], reply.seconds)


def _directly(settings: Settings, request: Request, listener: str) -> tuple[str, Callable[[], Trial]]:
    from saslauthd_py import app
    from saslauthd_py.cli.as_daemon import become_daemon
    from saslauthd_py.log import kv
    from saslauthd_py.verdict import Accepted, Unavailable

    def decide() -> Trial:
        began = time.monotonic()
        decision = app.decide_directly(settings, request, listener)
        seconds = time.monotonic() - began
        asked = kv.Asked(_text(request.service), listener, None, seconds)
        line = kv.decision(decision.user, decision.verdict, decision.backend, asked).decode()
        match decision.verdict:
            case Accepted():
                return Trial("OK", line, seconds)
            case Unavailable():
                return Trial("unavailable", line, seconds)
            case _:
                return Trial("NO", line, seconds)

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
