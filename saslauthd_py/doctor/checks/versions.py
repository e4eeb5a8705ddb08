"""18: the versions at work, known faults of theirs, and room on the store's disk."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from saslauthd_py import __version__
from saslauthd_py.config.settings import Settings, StoreSettings
from saslauthd_py.control import client
from saslauthd_py.control.client import ControlError
from saslauthd_py.doctor.case import Case
from saslauthd_py.doctor.said import Said, failed, passed, warned

_SECONDS = 2.0
_FEW, _TOO_FEW = 256 << 20, 16 << 20
"""Bytes left on the store's disk: below the first it is to be looked after, below the second a write may fail."""

_MENDED = {(3, 5): 23, (3, 6): 13, (3, 7): 9, (3, 8): 4}
"""Postfix's releases with smtpd_forbid_bare_newline (CVE-2023-51764), the first of each line; all from 3.9 on."""


def find(case: Case) -> Iterator[Said]:
    """A line for each program to be renewed or restarted, and each disk that is nearly full."""
    faults = (*_daemon(case), *_postfix(case), *(_disks(case.settings) if case.settings is not None else ()))
    yield from faults
    if not faults:
        postfix = f", Postfix {case.machine.postfix.version}" if case.machine.postfix is not None else ""
        yield passed(f"saslauthd-py {__version__}{postfix}; there is room on the disk")


def _daemon(case: Case) -> Iterator[Said]:
    try:
        running = client.status(case.settings.control.path, _SECONDS).get("version") if case.settings is not None else None
    except ControlError:
        return  # check `daemon` says why
    if running not in (None, __version__):
        yield warned(f"the daemon that runs is version {running}, installed is {__version__}", "systemctl restart saslauthd-py")


def _postfix(case: Case) -> Iterator[Said]:
    """Where a distribution mends faults without a new number, the number tells nothing."""
    if case.machine.postfix is None or case.machine.distribution.backports:
        return
    version = case.machine.postfix.version
    if smuggled(version):
        yield warned(f"Postfix {version} lets mail be smuggled in (CVE-2023-51764)", "install a newer Postfix")


def smuggled(version: str) -> bool:
    """Is it one that has no defence against SMTP smuggling?"""
    numbers = tuple(map(int, re.findall(r"[0-9]+", version)))[:3]
    if len(numbers) < 2:
        return False
    line, patch = numbers[:2], numbers[2] if len(numbers) > 2 else 0
    return patch < _MENDED[line] if line in _MENDED else line < (3, 9)


def _disks(settings: Settings) -> Iterator[Said]:
    for name, backend in settings.backend.items():
        if not isinstance(backend, StoreSettings):
            continue
        directory = os.path.dirname(backend.path)
        try:
            found = os.statvfs(directory)
        except OSError:
            continue  # check `accounts` says why
        left = found.f_bavail * found.f_frsize
        if left < _FEW or (found.f_files and not found.f_favail):
            judge = failed if left < _TOO_FEW else warned
            yield judge(f"backend {name}: {left >> 20} MiB are left on the disk of {directory}", f"make room there: df -h {directory}")
