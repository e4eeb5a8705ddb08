"""2: the daemon runs with this configuration, answers at every path of it, alone, and will after a reboot."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Iterator

from saslauthd_py.config.settings import Listen, Settings
from saslauthd_py.control import client
from saslauthd_py.control.client import ControlError, NotPermitted, NotRunning
from saslauthd_py.doctor import boot
from saslauthd_py.doctor.case import Case, ourselves
from saslauthd_py.doctor.said import Said, failed, passed, skipped, warned
from saslauthd_py.mta import forked, processes
from saslauthd_py.mta.reach import Reached, reach

_SECONDS = 2.0
_STOP_STOCK = "systemctl stop saslauthd && systemctl disable saslauthd"
_STOCK = "saslauthd["
"""How `_named` begins for the original."""


def find(case: Case) -> Iterator[Said]:
    """The daemon first, then its sockets, then the next boot."""
    if case.settings is None:
        yield _unconfigured(case)
        return
    try:
        status = client.status(case.settings.control.path, _SECONDS)
    except NotPermitted as error:
        yield skipped(f"the daemon cannot be asked: {error}", "run the doctor as root")
        status = {}
    except NotRunning as error:
        yield _not_running(case, case.settings, error)
        status = {}
    except ControlError as error:
        yield failed(f"the daemon cannot be asked: {error}", case.restart())
        status = {}
    ours = frozenset(pid for key in ("pid", "monitor_pid") if isinstance(pid := status.get(key), int))
    faults = (*_sockets(case.settings, ours), *_others(case, ours)) if ours else ()
    yield from faults
    yield from boot.concerns(case)
    if ours and not faults:
        listens = ", ".join(one.name for one in case.settings.listen)
        yield passed(f"saslauthd-py {status.get('version')} (pid {status.get('pid')}) answers at {listens}")


def _unconfigured(case: Case) -> Said:
    """Its own fault; or it is for another user; or this site has not moved yet, and all that ask are served."""
    if os.geteuid() != 0 and os.path.exists(case.path) and not os.access(case.path, os.R_OK):
        return skipped(case.fault, "run the doctor as root")
    if os.path.lexists(case.path):
        return failed(case.fault, case.command("config check"))
    mend = f"saslauthd-py config convert > {shlex.quote(case.path)}"
    answers = [_answer(target.caller.outside) for target in case.targets if not target.caller.is_tcp]
    if answers and all(one is not None and one.ok for one in answers):
        who = ", ".join(dict.fromkeys(_named(one) for one in answers if one is not None))
        return warned(f"{who} is what the mail server asks, and there is no {case.path} yet: this site has not moved", mend)
    return failed(case.fault, mend)


def _not_running(case: Case, settings: Settings, error: NotRunning) -> Said:
    """Nobody at the control socket: nobody at all, another daemon in the place of ours, or ours without that socket."""
    for listen in settings.listen:
        found = _answer(listen.path) if listen.path is not None else None
        if found is None or not found.ok:
            continue
        name = _named(found)
        if name.startswith(_STOCK):
            cause = f"{listen.path} is taken: {name} answers there, so the daemon of {case.path} does not run"
            return failed(cause, f"{_STOP_STOCK}; then {case.start()}")
        directory = shlex.quote(os.path.dirname(settings.control.path))
        cause = f"{name} answers at {listen.path}, and nobody at {settings.control.path}: neither `reload` nor this check can ask it"
        return warned(cause, f"install -d -m 755 {directory}; then {case.restart()}")
    return failed(f"no daemon runs with {case.path}: {error}", case.start())


def _answer(path: str) -> Reached | None:
    try:
        return reach(path, ourselves())
    except (forked.Hung, forked.Lost):
        return None  # check `path` says it


def _sockets(settings: Settings, ours: frozenset[int]) -> Iterator[Said]:
    for listen in settings.listen:
        if listen.path is not None and (said := _socket(listen, ours)) is not None:
            yield said


def _others(case: Case, ours: frozenset[int]) -> Iterator[Said]:
    """Another daemon that is asked in the place of this one, at a path of its own."""
    for target in case.targets:
        caller = target.caller
        if caller.is_tcp or case.listener(caller) is not None:
            continue
        reached = _answer(caller.outside)
        if reached is not None and reached.ok and reached.pid not in ours:
            cause = f"{target} asks another daemon: {_named(reached)} answers at {caller.outside}, and {case.path} has no listener there"
            found = case.visible(caller)
            mend = f"in {caller.source.file}: {caller.source.line(found[1])}" if found else f"add a [[listen]] at {caller.outside}"
            yield failed(cause, f"{mend}; {_STOP_STOCK}, where it is not wanted any more")


def _socket(listen: Listen, ours: frozenset[int]) -> Said | None:
    assert listen.path is not None  # noqa: S101 - looked at by the caller
    try:
        reached = reach(listen.path, ourselves())
    except (forked.Hung, forked.Lost) as error:
        return failed(f"{listen.path} cannot be tried: {error}", "look for a dead file system on that path")
    if reached.ok:
        return None if reached.pid in ours else _shared(listen.path, reached)
    if reached.error == errno.EACCES:
        return skipped(f"{listen.path} is not for this user", "run the doctor as root")
    stale = reached.kind == stat.S_IFSOCK and reached.error == errno.ECONNREFUSED
    what = "is a stale socket, on which nobody answers" if stale else "is not there: something has removed or replaced it"
    return failed(f"{listen.path} {what}, while the daemon runs", "systemctl restart saslauthd-py")


def _shared(path: str, reached: Reached) -> Said:
    name = _named(reached)
    cause = f"two daemons on a path: {name} answers at {path}, and the daemon of this configuration does not"
    stop = _STOP_STOCK if name.startswith(_STOCK) else f"stop {name}, or give one of the two another path"
    return failed(cause, f"{stop}; then systemctl restart saslauthd-py")


def _named(reached: Reached) -> str:
    found = processes.process(reached.pid)
    return f"{found.name if found is not None else 'a process'}[{reached.pid}]"
