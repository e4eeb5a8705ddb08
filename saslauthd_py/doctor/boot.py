"""What of a daemon is there again after a reboot, where systemd starts the machine."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from contextlib import suppress

from saslauthd_py.doctor.case import BOOTED, Case
from saslauthd_py.doctor.said import Said, warned

_OURS, _STOCK = "saslauthd-py.service", "saslauthd.service"
_UNITS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_TMPFILES = ("/etc/tmpfiles.d/*.conf", "/run/tmpfiles.d/*.conf", "/usr/lib/tmpfiles.d/*.conf")
_STOCK_SOCKET = "/run/saslauthd/mux"


def concerns(case: Case) -> Iterator[Said]:
    """What will be missing, or be there twice. Nothing where systemd does not run: whoever starts a container knows how."""
    if not os.path.isdir(BOOTED) or case.settings is None:
        return
    if not _enabled(_OURS):
        yield warned(f"{_OURS} is not enabled: nobody starts the daemon after a reboot", "systemctl enable saslauthd-py")
    paths = [one.path for one in case.settings.listen if one.path is not None]
    if _enabled(_STOCK) and any(os.path.realpath(path) == _STOCK_SOCKET for path in paths):
        yield warned(
            f"the original's {_STOCK} is enabled too, at {_STOCK_SOCKET}", "systemctl stop saslauthd && systemctl disable saslauthd"
        )
    for directory in dict.fromkeys(os.path.realpath(os.path.dirname(path)) for path in paths):
        if directory.startswith("/run/") and not _made_again(directory):
            mend = f"echo 'd {directory} 0755 root root' > /etc/tmpfiles.d/saslauthd-py-sockets.conf"
            yield warned(f"{directory} is gone after a reboot, and nothing makes it again", mend)


def _enabled(unit: str) -> bool:
    return any(glob.glob(f"{directory}/*.{kind}/{unit}") for directory in _UNITS for kind in ("wants", "requires"))


def _made_again(directory: str) -> bool:
    names = (directory, "/var" + directory)
    tmpfiles = (line.split() for path in _all(_TMPFILES) for line in _text(path).splitlines())
    if any(len(words) > 1 and words[0][:1] in "dD" and words[1].rstrip("/") in names for words in tmpfiles):
        return True
    units = "\n".join(_text(path) for path in _all(f"{unit}/*.service" for unit in _UNITS))
    runtime = re.findall(r"^RuntimeDirectory=(.*)$", units, re.MULTILINE)
    return any(f"/run/{word}" == directory for line in runtime for word in line.split())


def _all(patterns: Iterator[str] | tuple[str, ...]) -> Iterator[str]:
    for pattern in patterns:
        yield from glob.glob(pattern)


def _text(path: str) -> str:
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return file.read(1 << 16)
    return ""
