"""9: a real login with the test account through every port of the mail server, timed, beside the daemon's own word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from saslauthd_py.control import client
from saslauthd_py.control.client import ControlError, Trace
from saslauthd_py.doctor.case import Account, Case
from saslauthd_py.doctor.lookups import sent
from saslauthd_py.doctor.said import Said, failed, passed, skipped
from saslauthd_py.mta import imap, smtp
from saslauthd_py.mta.caller import Caller
from saslauthd_py.mta.machine import Machine
from saslauthd_py.mta.smtp import Server, Tried
from saslauthd_py.trace import Step
from saslauthd_py.wire.saslauthd import Request

_HERE, _IMAP, _SUBMISSIONS = "127.0.0.1", 143, 465
_ACCEPTED = "accepted"
_SECONDS = 7.0
_TRACE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class _Way:
    """A port of a mail server, how to log in there, and who asks the daemon then."""

    name: str
    attempt: Callable[[Account], Tried]
    caller: Caller | None


def find(case: Case) -> Iterator[Said]:
    """One line for each port. The daemon is asked once more where one refuses: then it is known whose word it was."""
    ways = tuple(_ways(case))
    if not ways:
        yield skipped("no mail server of this machine takes logins at a port")
    elif case.account is None:
        yield skipped("no account to log in with", "saslauthd-py doctor --user NAME@REALM")
    else:
        for way in ways:
            yield _tried(case, case.account, way)


def _ways(case: Case) -> Iterator[_Way]:
    callers = {caller.name: caller for caller in case.machine.callers}
    for name, server in _smtp_servers(case.machine):
        yield _Way(f"{server} ({name})", partial(_over_smtp, server), callers.get(name))
    if case.machine.cyrus_imap is not None:
        yield _Way(f"{_HERE}:{_IMAP} (imapd)", _over_imap, callers.get("imapd"))


def _smtp_servers(machine: Machine) -> Iterator[tuple[str, Server]]:
    postfix = machine.postfix
    for service in postfix.logins() if postfix is not None else ():
        if postfix is not None and (address := postfix.address(service)) is not None:
            proxied = postfix.value("smtpd_upstream_proxy_protocol", service) != ""
            yield f"smtpd of {service.name}", Server(*address, postfix.is_on("smtpd_tls_wrappermode", service), proxied)
    for host, port in machine.exim.addresses() if machine.exim is not None else ():
        yield "exim", Server(host, port, tls_at_once=port == _SUBMISSIONS)


def _over_smtp(server: Server, account: Account) -> Tried:
    return smtp.login(server, account.name, account.secret, _SECONDS)


def _over_imap(account: Account) -> Tried:
    return imap.login(_HERE, _IMAP, account.name, account.secret)


def _tried(case: Case, account: Account, way: _Way) -> Said:
    tried = way.attempt(account)
    times = ", ".join(f"{step} {seconds * 1000:.0f} ms" for step, seconds in tried.seconds.items())
    if tried.ok:
        return passed(f"{account.name} logs in at {way.name}: {times}")
    answer = (f"{tried.code} " if tried.code else "") + tried.text.partition("\n")[0]
    asked = _by_daemon(case, account, way.caller) if tried.step == "AUTH" and tried.code else None
    said = f"; the daemon says {asked}" if asked is not None else ""
    cause = f"{account.name} cannot log in at {way.name}: {tried.step}: {answer} ({times}){said}"
    return failed(cause, _remedy(case, account, tried, asked))


def _remedy(case: Case, account: Account, tried: Tried, asked: str | None) -> str:
    if asked == _ACCEPTED:
        return "look at the mail server's log: the daemon accepts this login when it is asked directly"
    if tried.step == "AUTH" and tried.code:
        return case.command(f"test {account.name} --trace")
    return "start the mail server" if tried.step == "connect" else "look at the mail server's log"


def _by_daemon(case: Case, account: Account, caller: Caller | None) -> str | None:
    """The running daemon's own verdict, and why; None: it cannot be asked."""
    listen = case.listener(caller) if caller is not None else None
    if case.settings is None or caller is None or listen is None:
        return None
    name, realm = sent(account.name, caller)
    request = Request(name.encode(errors="surrogateescape"), account.secret, caller.service.encode(), realm.encode())
    steps: list[Step] = []
    try:
        verdict = str(client.trace(case.settings.control.path, Trace(listen.name, request), steps.append, _TRACE_SECONDS))
    except ControlError:
        return None
    facts = next((step.facts for step in reversed(steps) if step.name in ("verdict", "refused")), {})
    why = next((str(facts[key]) for key in ("cause", "reason", "why") if facts.get(key)), "")
    return f"{verdict} ({why})" if why else verdict
