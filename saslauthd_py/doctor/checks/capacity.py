"""10: whether one hash, and as many logins as the mail server has processes, fit into the deadline and the limits."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from saslauthd_py import passwords
from saslauthd_py.config.settings import Settings, StoreSettings
from saslauthd_py.control import client
from saslauthd_py.control.client import ControlError
from saslauthd_py.doctor import store_look
from saslauthd_py.doctor.case import Case
from saslauthd_py.doctor.said import Said, failed, passed, skipped, warned
from saslauthd_py.mta import forked
from saslauthd_py.mta.postfix import Postfix
from saslauthd_py.passwords import BrokenRecord, UnknownScheme
from saslauthd_py.secret import Secret

_ROOM = 3
"""Hashes that must fit into the deadline: a login that finds every core busy waits for others first."""

_SPARE = 64
_SECONDS = 2.0


def find(case: Case) -> Iterator[Said]:
    """A line for each limit that is too small."""
    if case.settings is None:
        yield skipped("the configuration cannot be used", case.command("config check"))
        return
    seen: list[str] = []
    faults = (*_hashes(case, case.settings, seen), *_connections(case, case.settings), *_descriptors(case.settings))
    yield from faults
    if not faults:
        cores = len(os.sched_getaffinity(0))
        yield passed("; ".join(seen) or f"{cores} cores; no backend hashes here")


def judged(name: str, deadline: float, seconds: float) -> tuple[str, str] | None:
    """What is wrong with a deadline where one hash of backend `name` takes so long: "fail" or "warn", and why."""
    told = f"one hash of backend {name} takes {seconds:.2g} s of a core, and [server] deadline is {deadline:g} s"
    if seconds >= deadline:
        return "fail", f"{told}: every login ends unanswered (454)"
    if seconds * _ROOM > deadline:
        return "warn", f"{told}: a login that waits for another one ends unanswered (454)"
    return None


def _hashes(case: Case, settings: Settings, seen: list[str]) -> Iterator[Said]:
    cores = len(os.sched_getaffinity(0))
    for name, backend in settings.backend.items():
        if not isinstance(backend, StoreSettings):
            continue
        try:
            profile = store_look.look(backend.path, None).profile or passwords.cost_to_make(backend.scheme).profile
            seconds = measured(profile)
        except (store_look.Unlooked, forked.Hung, forked.Lost, BrokenRecord, UnknownScheme):
            continue  # check `accounts` says why
        if verdict := judged(name, settings.server.deadline, seconds):
            word, cause = verdict
            wanted = max(8.0, round(seconds * _ROOM + 1))
            mend = f'in {case.path}: [server] deadline = "{wanted:g}s", below the 10 s that Postfix waits; or a cheaper scheme for {name}'
            yield (failed if word == "fail" else warned)(cause, mend)
        else:
            seen.append(
                f"{name}: one hash ({profile}) takes {seconds * 1000:.0f} ms, so {cores} cores do {cores / seconds:.0f} logins a second"
            )


def measured(profile: str) -> float:
    """Seconds of processor time for verifying one record of a profile, whatever else the machine does. Raises BrokenRecord."""
    record = passwords.decoy(profile)
    began = time.process_time()
    passwords.verify(record, Secret(b"a password that nobody has"))
    return max(time.process_time() - began, 1e-6)


def _connections(case: Case, settings: Settings) -> Iterator[Said]:
    processes = _processes(case.machine.postfix) if case.machine.postfix is not None else 0
    if processes > settings.server.max_connections_per_peer:
        cause = f"Postfix may run {processes} smtpd, and max_connections_per_peer is {settings.server.max_connections_per_peer}"
        yield warned(cause, f"in {case.path}: [server] max_connections_per_peer = {processes}")


def _processes(postfix: Postfix) -> int:
    usual = postfix.value("default_process_limit")
    default = int(usual) if usual.isdecimal() else 100
    return sum(default if one.process_limit is None else one.process_limit for one in postfix.logins())


def _descriptors(settings: Settings) -> Iterator[Said]:
    """Of the daemon that runs."""
    try:
        pid = client.status(settings.control.path, _SECONDS).get("pid")
        with open(f"/proc/{pid}/limits", encoding="ascii") as file:
            limit = next(line.split()[3] for line in file if line.startswith("Max open files"))
    except (ControlError, OSError, StopIteration):
        return
    wanted = settings.server.max_connections + _SPARE
    if limit.isdecimal() and int(limit) < wanted:
        cause = f"the daemon may open {limit} files, and max_connections is {settings.server.max_connections}"
        yield warned(cause, f"systemctl edit saslauthd-py: [Service] LimitNOFILE={wanted}; by hand: ulimit -n {wanted}")
