"""9: a real login with the test account through every port of the mail server, timed, beside the daemon's own word."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from saslauthd_py.control import client
from saslauthd_py.control.client import ControlError, Trace
from saslauthd_py.doctor.case import Account, Case
from saslauthd_py.doctor.lookups import sent
from saslauthd_py.doctor.said import Said, failed, passed, skipped
from saslauthd_py.mta import cyrus_conf, imap, smtp, smtp_ports
from saslauthd_py.mta.caller import Caller
from saslauthd_py.mta.cyrus_conf import Port
from saslauthd_py.mta.machine import Machine
from saslauthd_py.mta.smtp import Server, Tried
from saslauthd_py.trace import Step
from saslauthd_py.wire.saslauthd import Request

_ACCEPTED = "accepted"
_SECONDS = 7.0
_TRACE_SECONDS = 3.0
_ELSEWHERE = "log in from another machine, or with swaks from an address that is not excepted"


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
        with ThreadPoolExecutor(len(ways)) as side_by_side:  # so that one that stalls keeps no other's answer back
            yield from side_by_side.map(partial(_tried, case, case.account), ways)


def _ways(case: Case) -> Iterator[_Way]:
    callers = {caller.name: caller for caller in case.machine.callers}
    for name, server in smtp_ports.of_machine(case.machine):
        yield _Way(f"{server} ({name})", partial(_over_smtp, server), callers.get(name))
    for port in cyrus_conf.ports(case.machine.cyrus_imap.file) if case.machine.cyrus_imap is not None else ():
        yield _Way(f"{port.host}:{port.number} (imapd)", partial(_over_imap, port), callers.get("imapd"))


def _over_smtp(server: Server, account: Account) -> Tried:
    return smtp.login(server, account.name, account.secret, _SECONDS)


def _over_imap(port: Port, account: Account) -> Tried:
    return imap.login(port.host, port.number, account.name, account.secret, tls_at_once=port.tls_at_once)


def _tried(case: Case, account: Account, way: _Way) -> Said:
    tried = way.attempt(account)
    times = ", ".join(f"{step} {seconds * 1000:.0f} ms" for step, seconds in tried.seconds.items())
    if tried.ok:
        return passed(f"{account.name} logs in at {way.name}: {times}")
    if tried.step == "AUTH" and not tried.code and _excepted(case.machine, way):
        return skipped(f"{way.name}: this machine is among smtpd_sasl_exceptions_networks, and is offered no login: {times}", _ELSEWHERE)
    answer = (f"{tried.code} " if tried.code else "") + tried.text.partition("\n")[0]
    asked = _by_daemon(case, account, way.caller) if tried.step == "AUTH" and tried.code else None
    said = f"; the daemon says {asked}" if asked is not None else ""
    cause = f"{account.name} cannot log in at {way.name}: {tried.step}: {answer} ({times}){said}"
    return failed(cause, _remedy(case, account, tried, asked))


def _excepted(machine: Machine, way: _Way) -> bool:
    """Networks that are offered no login there, such as those that may send without: whether ours is one, the refusal has told."""
    postfix = machine.postfix
    service = next((one for one in postfix.logins() if f"smtpd of {one.name}" in way.name), None) if postfix is not None else None
    return postfix is not None and service is not None and postfix.value("smtpd_sasl_exceptions_networks", service) != ""


def _remedy(case: Case, account: Account, tried: Tried, asked: str | None) -> str:
    if asked == _ACCEPTED:
        return "look at the mail server's log: the daemon accepts this login when it is asked directly"
    if tried.step == "AUTH" and tried.code and case.settings is not None:
        return case.command(f"test {shlex.quote(account.name)} --trace")
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
