"""11: whether the mail client's address gets to the daemon, for its limits and its log, and whether fail2ban reads that log."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from ipaddress import ip_address

from saslauthd_py.config.settings import Settings
from saslauthd_py.doctor import postfix_lines
from saslauthd_py.doctor.case import Case
from saslauthd_py.doctor.said import Said, passed, skipped, warned
from saslauthd_py.log.output import STYLES
from saslauthd_py.log.style import Asked
from saslauthd_py.mta import programs
from saslauthd_py.mta.programs import Unreadable
from saslauthd_py.verdict import Reason, Rejected

FILTER = "/etc/fail2ban/filter.d/saslauthd-py.conf"
_SAMPLE = "192.0.2.7"


def find(case: Case) -> Iterator[Said]:
    """A line for each listener that could know the address and does not believe it, and one for a filter that reads nothing."""
    if case.settings is None:
        yield skipped("the configuration cannot be used", case.command("config check"))
        return
    faults = (*_unbelieved(case), *_unasked(case), *_unread(case.settings))
    yield from faults
    if not faults:
        dovecot = any(target.caller.protocol == "dovecot" for target in case.targets)
        told = "the mail client's address comes with each login"
        silent = "Cyrus SASL sends no address: peer=smtpd[PID] in our log leads to it in the mail server's"
        yield passed(told if dovecot else silent)


def _unbelieved(case: Case) -> Iterator[Said]:
    for target in case.targets:
        listen = case.listener(target.caller)
        if target.caller.protocol == "dovecot" and listen is not None and not listen.trusts_addresses:
            cause = f"{listen.name}: {target} sends the client's address, and it is not believed: others can open the socket too"
            yield warned(cause, f'in {case.path}, [[listen]] {listen.name}: mode = "0660", or trust = "address"')


def _unasked(case: Case) -> Iterator[Said]:
    """Clients that need no login at all."""
    if case.machine.postfix is None:
        return
    names = [one for one in case.machine.postfix.value("mynetworks").replace(",", " ").split() if one.endswith("/0")]
    if names:
        cause = f"mynetworks has {', '.join(names)}: everybody may send without a password"
        yield warned(cause, postfix_lines.setting(case.machine.postfix, "mynetworks", "127.0.0.0/8 [::1]/128"))


def _unread(settings: Settings) -> Iterator[Said]:
    """The shipped filter, tried with a line as this log has it; where it is installed."""
    program = programs.find("fail2ban-regex")
    if program is None or not os.path.exists(FILTER):
        return
    style = STYLES[settings.log.style]
    asked = Asked("smtp", "/run/saslauthd-py/auth", ip_address(_SAMPLE), 0.01)
    body = style.decision("alice@example.org", Rejected(Reason.WRONG_SECRET), "users", asked)
    line = (style.LINE % (style.opening(logging.INFO, int(time.time())), body, b"smtpd[1]", 1)).decode().rstrip("\n")
    try:
        found = programs.output((program, "--usedns", "no", "-o", "<ip>", line, FILTER)).split()
    except Unreadable as error:
        found = [str(error)]
    if found != [_SAMPLE]:
        cause = f"fail2ban's {FILTER} does not find a failed login in our log ({' '.join(found)[:200] or 'nothing'})"
        yield warned(cause, f"install -m 644 conf/fail2ban/filter.d/saslauthd-py.conf {FILTER}")
