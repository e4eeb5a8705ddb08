"""1: the way of each mail server to the socket, gone as its own user from inside its own chroot."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from saslauthd_py.doctor import closed_ways, unasked
from saslauthd_py.doctor.case import Case, Target
from saslauthd_py.doctor.said import Said, failed, passed, skipped, warned
from saslauthd_py.mta import forked
from saslauthd_py.mta.reach import NotPermitted, reach

_SECONDS = 2.0


def find(case: Case) -> Iterator[Said]:
    """One line for each socket that is asked, and one for each mail server that asks none."""
    if case.machine.empty:
        yield warned(
            "no Postfix, Exim or Cyrus IMAP is here that would ask for passwords",
            "name its configuration: --postfix-config DIR, --exim-config FILE or --imapd-conf FILE",
        )
        return
    yield from unasked.reasons(case.machine)
    for target in case.targets:
        yield closed_ways.badly_written(target) or _tried(case, target)


def _tried(case: Case, target: Target) -> Said:
    caller = target.caller
    if caller.is_tcp:
        return _over_tcp(case, target)
    try:
        reached = reach(caller.path, caller.who, caller.root)
    except NotPermitted as error:
        return skipped(str(error), "run the doctor as root")
    except (forked.Hung, forked.Lost) as error:
        return failed(f"{caller.outside} cannot be tried as {target}: {error}", "look for a dead file system on that path")
    if reached.ok:
        return passed(f"{caller.outside} answers to {target}, {caller.who}")
    return closed_ways.diagnosed(case, target, reached)


def _over_tcp(case: Case, target: Target) -> Said:
    where = target.caller.path.removeprefix("inet:")
    host, _, port = where.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()
    except (OSError, ValueError) as error:
        return failed(f"{target.caller.source} is {target.caller.path}, and nobody answers there: {error}", case.start())
    return passed(f"{where} answers to {target}")
