"""3: who else may use the sockets, and whether the mail server's running processes have the groups that let them in."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Iterator

from saslauthd_py.doctor import anew
from saslauthd_py.doctor.case import Case, Target
from saslauthd_py.doctor.said import Said, failed, passed, skipped, warned
from saslauthd_py.mta import forked, processes
from saslauthd_py.mta.processes import Process, group_name
from saslauthd_py.mta.reach import NotPermitted, reach


def find(case: Case) -> Iterator[Said]:
    """One line for each way that is open too wide, or to processes started from now on only."""
    quiet = True
    for target in case.targets:
        if not target.caller.is_tcp:
            for said in (*_left_behind(case, target), *_too_wide(case, target)):
                quiet = False
                yield said
    if not case.targets:
        yield passed("no mail server asks at a socket")
    elif quiet:
        yield passed("the sockets are open to the mail server's processes, and to nobody who should not try passwords there")


def _left_behind(case: Case, target: Target) -> Iterator[Said]:
    """Processes that run with fewer groups than their user has by now."""
    caller = target.caller
    for one in _older(target):
        try:
            reached = reach(caller.path, one.who, caller.root)
            if reached.error == errno.EACCES and reach(caller.path, caller.who, caller.root).error != errno.EACCES:
                lacking = ", ".join(group_name(gid) for gid in sorted(caller.who.groups - one.who.groups))
                cause = f"{one.name}[{one.pid}] was started before its user came into group {lacking}, and may not open {caller.outside}"
                yield failed(cause, anew.command(case.machine, caller))
        except NotPermitted as error:
            yield skipped(str(error), "run the doctor as root")
        except (forked.Hung, forked.Lost) as error:
            yield failed(f"{caller.outside}: {error}", "look for a dead file system on that path")


def _older(target: Target) -> Iterator[Process]:
    """One running process for each other set of groups than the next process will have."""
    caller = target.caller
    seen = {caller.who}
    for one in processes.running(*caller.programs):
        if one.who.uid == caller.who.uid and one.who not in seen:
            seen.add(one.who)
            yield one


def _too_wide(case: Case, target: Target) -> Iterator[Said]:
    path = target.caller.outside
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    directories = [directory for directory, found in _above(path) if not found.st_mode & stat.S_IXOTH]
    if mode & stat.S_IWOTH and not directories:
        group = group_name(target.caller.who.gid)
        keys = f'mode = "0660" and group = "{group}"'
        mend = (
            f"in the [[listen]] of {case.path}: {keys}; then {case.reload()}"
            if case.listener(target.caller)
            else f"chmod o-w {shlex.quote(path)}"
        )
        yield warned(f"every user of this machine may try passwords at {path} (mode {stat.S_IMODE(mode):04o})", mend)
    for directory, found in _above(path):
        if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            yield failed(
                f"everybody may put a socket of their own in the place of {path} and be given passwords",
                f"chmod o-w {shlex.quote(directory)}",
            )


def _above(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """The directories on the way, from the nearest."""
    directory = os.path.dirname(os.path.realpath(path))
    while True:
        yield directory, os.stat(directory)
        if directory == "/":
            return
        directory = os.path.dirname(directory)
