"""7: PAM: a service's file where one is asked for, and the modules that it names."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from contextlib import suppress

from saslauthd_py.config.settings import PamSettings
from saslauthd_py.credential import service_word
from saslauthd_py.doctor.case import Case
from saslauthd_py.doctor.said import Said, failed, passed, skipped
from saslauthd_py.mta import cyrus_imap

_DIRECTORIES = ("/etc/pam.d", "/usr/lib/pam.d")
_MODULES = (
    "/lib/*-linux-*/security",
    "/usr/lib/*-linux-*/security",
    "/lib64/security",
    "/usr/lib64/security",
    "/lib/security",
    "/usr/lib/security",
)
_LINE = re.compile(r"(?P<dash>-?)(?P<type>auth|account|password|session)\s+(?P<control>\[[^\]]*\]|\S+)\s+(?P<module>\S+)")
_INCLUDE = re.compile(r"@include\s+(?P<file>\S+)")
_LINES = "printf '%s\\n' 'auth required pam_unix.so' 'account required pam_unix.so'"
"""What conf/pam.d/smtp has, for whoever has no such directory at hand."""

_TYPES = ("auth", "account")
_DEEPEST = 16


def find(case: Case) -> Iterator[Said]:
    """A line for each service that PAM cannot be asked for."""
    if case.settings is None:
        yield skipped("the configuration cannot be used", case.command("config check"))
        return
    backends = {name: one for name, one in case.settings.backend.items() if isinstance(one, PamSettings)}
    if not backends:
        yield passed("no backend asks PAM")
        return
    faults = 0
    for name, backend in backends.items():
        for said in _backend(case, name, backend):
            faults += 1
            yield said
    if not faults:
        yield passed(f"backends {', '.join(backends)}: every service has its file in /etc/pam.d, every module is there")


def _backend(case: Case, name: str, backend: PamSettings) -> Iterator[Said]:
    for service in _services(case):
        if backend.services and service not in backend.services:
            mend = f'in {case.path}: [backend.{name}] services: add "{service}"'
            yield failed(f"backend {name} may not be asked for service {service}, which the mail server names", mend)
            continue
        names = backend.file_names(service)
        path = next((path for one in names if (path := _file(one))), None)
        if path is None:
            wanted = " or ".join(f"/etc/pam.d/{one}" for one in names) or f"a file for service {service}"
            cause = f"backend {name}: there is no {wanted}, so every {service} login is refused"
            yield failed(cause, f"{_LINES} > /etc/pam.d/{names[0] if names else service}")
        else:
            yield from _stack(name, path)


def _services(case: Case) -> tuple[str, ...]:
    """Those that mail servers here ask for."""
    asked = [service_word(target.caller.service) for target in case.targets]
    if case.machine.cyrus_imap is not None:
        asked += cyrus_imap.SERVICES
    return tuple(dict.fromkeys(asked)) or ("smtp",)


def _stack(backend: str, path: str) -> Iterator[Said]:
    for place, module in dict.fromkeys(_modules(path)):
        if not _module(module):
            yield failed(
                f"backend {backend}: {place} names {module}, which is not installed", f"install the package of {module}, or correct {place}"
            )


def _modules(path: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """The file and the module of each line that takes part in a login; a missing file is told as a missing module is."""
    if depth > _DEEPEST:
        return
    for line in _lines(path):
        if (found := _INCLUDE.match(line)) or (
            (rule := _LINE.match(line)) and rule["control"] in ("include", "substack") and (found := rule)
        ):
            included = found.groupdict().get("file") or found.groupdict()["module"]
            there = _file(included)
            if there is None:
                yield path, included
            else:
                yield from _modules(there, depth + 1)
        elif rule and rule["type"] in _TYPES and not rule["dash"]:
            yield path, rule["module"]


def _lines(path: str) -> Iterator[str]:
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        for line in file.read(1 << 20).replace("\\\n", " ").splitlines():
            yield line.partition("#")[0].strip()


def _file(name: str) -> str | None:
    """A service's file; an absolute name is its own."""
    return next((path for directory in _DIRECTORIES if os.path.isfile(path := os.path.join(directory, name))), None)


def _module(name: str) -> bool:
    if os.path.isabs(name):
        return os.path.exists(name)
    return any(os.path.exists(os.path.join(directory, name)) for pattern in _MODULES for directory in glob.glob(pattern))
