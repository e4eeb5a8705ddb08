"""Where a distribution keeps what its mail servers read: compiled into them, so no file says it."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

_RELEASE = ("/etc/os-release", "/usr/lib/os-release")


@dataclass(frozen=True, slots=True)
class Distribution:
    """`sasl_directories`: where libsasl looks for its applications' files. `plugins`: patterns of the directories of its mechanisms.

    `forced_by_postfix`: what its Postfix puts in the place of the former, below its configuration directory where relative; empty:
    nothing. `plain_package`: what brings PLAIN and LOGIN; `install`: how a package is installed. `backports`: its security updates keep
    the version's number.
    """

    name: str
    sasl_directories: tuple[str, ...]
    forced_by_postfix: tuple[str, ...]
    plugins: tuple[str, ...]
    saslauthd_path: str
    plain_package: str
    install: str
    backports: bool = True

    def plugin_directories(self) -> tuple[str, ...]:
        """Those that are there."""
        return tuple(found for pattern in self.plugins for found in sorted(glob.glob(pattern)))


DEBIAN = Distribution(
    "debian",
    ("/etc/sasl2", "/etc/sasl", "/usr/lib/sasl2"),
    ("sasl", "/usr/lib/sasl"),
    ("/usr/lib/*-linux-*/sasl2", "/usr/lib/sasl2"),
    "/var/run/saslauthd/mux",
    "libsasl2-modules",
    "apt-get install",
)
REDHAT = Distribution(
    "redhat",
    ("/etc/sasl2", "/usr/lib64/sasl2", "/usr/lib/sasl2"),
    (),
    ("/usr/lib64/sasl2", "/usr/lib/sasl2"),
    "/run/saslauthd/mux",
    "cyrus-sasl-plain",
    "dnf install",
)
OTHER = Distribution(
    "other",
    ("/usr/lib/sasl2", "/etc/sasl2"),
    (),
    ("/usr/lib64/sasl2", "/usr/lib/sasl2", "/usr/lib/*-linux-*/sasl2", "/usr/local/lib/sasl2"),
    "/var/run/saslauthd/mux",
    "the plugins of Cyrus SASL",
    "install",
    backports=False,
)
_BY_ID = {
    "debian": DEBIAN,
    "ubuntu": DEBIAN,
    "rhel": REDHAT,
    "centos": REDHAT,
    "fedora": REDHAT,
}


def here() -> Distribution:
    """The one of this machine, by os-release(5); OTHER, Cyrus SASL's and Postfix's own ways, where it is none of those known."""
    for path in _RELEASE:
        with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            return of_release(file.read())
    return OTHER


def of_release(text: str) -> Distribution:
    """By the text of os-release(5): its ID, else the first of ID_LIKE that is known."""
    keys = dict(_assignments(text))
    words = [keys.get("ID", ""), *keys.get("ID_LIKE", "").split()]
    return next((_BY_ID[word] for word in words if word in _BY_ID), OTHER)


def _assignments(text: str) -> Mapping[str, str]:
    found = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            with suppress(ValueError):  # unbalanced quotes
                found[name] = " ".join(shlex.split(value))
    return found
