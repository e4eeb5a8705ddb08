"""14: what SELinux or AppArmor has lately denied to the programs on the way of a login."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress

from saslauthd_py.doctor.case import Case
from saslauthd_py.doctor.said import Said, passed, skipped, warned
from saslauthd_py.mta import programs
from saslauthd_py.mta.programs import Unreadable

_SELINUX, _APPARMOR = "/sys/fs/selinux/enforce", "/sys/module/apparmor/parameters/enabled"
_LOGS = ("/var/log/audit/audit.log", "/var/log/kern.log", "/var/log/syslog", "/var/log/messages")
_TAIL = 1 << 18
_DENIED = re.compile(r'avc:\s+denied|apparmor="DENIED"')
_COMMAND = re.compile(r'comm="([^"]*)"')
_PROGRAMS = ("smtpd", "exim4", "exim", "imapd", "pop3d", "saslauthd-py", "saslauthd", "python3")
_KERNEL_LINES = "2000"


def find(case: Case) -> Iterator[Said]:
    """The last denial of a program, or of a path, that logins need."""
    if not enforced():
        yield passed("neither SELinux nor AppArmor is at work")
        return
    words = tuple(dict.fromkeys(target.caller.outside for target in case.targets))
    last, unread = None, ""
    try:
        for line in _lines():
            if concerns(line, words):
                last = line
    except Unreadable as error:
        unread = str(error)
    if last is not None:
        mend = "ausearch -m avc -ts recent | audit2allow -w; or aa-logprof; listen below /run/saslauthd, where policies expect it"
        yield warned(f"a login's way was denied: {last.strip()[:300]}", mend)
    elif unread:
        yield skipped(f"what the kernel has denied cannot be told: {unread}", "run the doctor as root" if os.geteuid() else "")
    else:
        yield passed("nothing on the way of a login was denied lately")


def enforced() -> bool:
    """Does either of them keep programs from anything?"""
    return _first_letter(_SELINUX) == "1" or _first_letter(_APPARMOR) == "Y"


def concerns(line: str, paths: tuple[str, ...]) -> bool:
    """Is it a denial, of one of our programs or for one of these paths?"""
    if _DENIED.search(line) is None:
        return False
    command = _COMMAND.search(line)
    return (command is not None and command[1] in _PROGRAMS) or any(path in line for path in paths)


def _lines() -> Iterator[str]:
    """Raises Unreadable, after all that it could read."""
    unread = ""
    for path in _LOGS:
        try:
            with open(path, "rb") as file:
                file.seek(max(os.fstat(file.fileno()).st_size - _TAIL, 0))
                yield from file.read(_TAIL).decode(errors="replace").splitlines()
        except FileNotFoundError:
            continue
        except OSError as error:
            unread = f"{path}: {(error.strerror or str(error)).lower()}"
    program = programs.find("journalctl")
    if program is not None:
        yield from programs.output((program, "-k", "-n", _KERNEL_LINES, "--no-pager", "-o", "cat")).splitlines()
    if unread:
        raise Unreadable(unread)


def _first_letter(path: str) -> str:
    with suppress(OSError), open(path, encoding="ascii") as file:
        return file.read(1)
    return ""
