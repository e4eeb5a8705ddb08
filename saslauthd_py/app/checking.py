"""`serve --check`: everything that a start would try, in its order, also beside a daemon that runs with this configuration already."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from saslauthd_py import identity, listeners, passwords
from saslauthd_py.app import kerberos
from saslauthd_py.app.composition import Resources, opened
from saslauthd_py.app.exporting import Exporting
from saslauthd_py.app.start import check_log, drop, start_errors
from saslauthd_py.config.settings import KerberosSettings, Settings, WorkerSettings
from saslauthd_py.control import client
from saslauthd_py.control.client import ControlError
from saslauthd_py.listeners import ListenError
from saslauthd_py.monitor import worker

NO_CONTROL = "no control socket, so `status` and `reload` will not work"

_PATIENCE = 5.0
"""Seconds for a daemon that runs to say so."""


@dataclass(frozen=True, slots=True)
class Running:
    """A daemon that answers at the configuration's control socket: its first process, and which of the configuration's paths and
    addresses are its own.
    """

    pid: int
    places: frozenset[str]


@dataclass(frozen=True, slots=True)
class Checkup:
    """A start would do. `warnings`: what it would do without; `running`: a daemon that would have to end first."""

    warnings: tuple[str, ...] = ()
    running: Running | None = None


def check(settings: Settings) -> Checkup:
    """Try what `serve` would do, serve nothing, and leave nothing behind but the daemon's user. Raises StartError, PamUnusable."""
    running = _running(settings)
    places = running.places if running is not None else frozenset()
    with start_errors(), ExitStack() as stack:
        listeners.check_all(settings, ours=places)
        warnings = () if running is not None else _control(settings)
        root = os.geteuid() == 0
        for backend in settings.backend.values():
            if root and isinstance(backend, WorkerSettings):
                worker.prepare(backend)
        identity.preload()
        passwords.preload()
        drop(settings)
        check_log(settings)
        resources = stack.enter_context(opened(settings, (lambda _: None) if root else None))
        warnings += tuple(_unproved(settings, resources))
        if str(settings.metrics.address) not in places:
            Exporting(settings).close()
    return Checkup(warnings, running)


def _unproved(settings: Settings, resources: Resources) -> Iterator[str]:
    for name, backend in settings.backend.items():
        if isinstance(backend, KerberosSettings) and (text := kerberos.complaint(backend, resources.provings[name])):
            yield f"backend.{name}.keytab: {text}"


def _running(settings: Settings) -> Running | None:
    """None too where it may not be asked: then it is like any other process that has a place."""
    try:
        status = client.status(settings.control.path, _PATIENCE)
    except ControlError:
        return None
    match status:
        case {"pid": int(pid), "monitor_pid": int() | None as monitor, "listeners": [*found], "metrics": str(metrics)}:
            theirs = {metrics, *(one.get("name") for one in found if isinstance(one, dict))}
            wanted = {*(listen.name for listen in settings.listen), str(settings.metrics.address)}
            return Running(monitor or pid, frozenset(wanted & theirs))
    return None


def _control(settings: Settings) -> tuple[str, ...]:
    try:
        listeners.check_control(settings)
    except ListenError as error:
        return (f"{NO_CONTROL}: {error}",)
    return ()
