"""Who asks a daemon's socket, and by which name it knows that: the one value that all mail servers come down to."""

from __future__ import annotations

import os
from dataclasses import dataclass

from saslauthd_py.mta.processes import Who

MAX_PATH = 107
"""Bytes in a socket's path: sun_path has 108 with its NUL (unix(7)); libsasl refuses or cuts what is longer."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value is written: the file, the key in it, and the value; `line` is that key with another value, as the file has it."""

    file: str
    key: str
    value: str
    form: str = "{key}: {value}"

    def line(self, value: str) -> str:
        """The line of that file that would say `value`."""
        return self.form.format(key=self.key, value=value)

    def __str__(self) -> str:
        return f"{self.file}: {self.key}"


@dataclass(frozen=True, slots=True)
class Caller:
    """A mail server's process as it asks: `name` for people, `service` as the daemon is told, `path` as it stands in `source`.

    `path` is absolute in the caller's `root`, or `inet:HOST:PORT`. `realm` is what a name without an @ is sent with. `name_whole`: the
    name is sent as the client gave it, and not split. `realm_taken_off` is one that a name loses before it is sent.
    """

    name: str
    protocol: str
    service: str
    path: str
    source: Source
    who: Who
    root: str = "/"
    realm: str = ""
    programs: tuple[str, ...] = ()
    name_whole: bool = False
    realm_taken_off: str = ""

    @property
    def is_tcp(self) -> bool:
        """It asks a TCP address, and the rest of what is said of paths means nothing."""
        return self.path.startswith("inet:")

    @property
    def outside(self) -> str:
        """The path as everybody else knows it."""
        return self.path if self.is_tcp or self.root == "/" else outside(self.root, self.path)

    @property
    def chrooted(self) -> bool:
        """Does it see another tree than everybody else?"""
        return self.root != "/"


def outside(root: str, path: str) -> str:
    """A path of a chroot as it is called outside of it. Links are not followed: the kernel does that inside."""
    return os.path.normpath(f"{root.rstrip('/')}/{path.lstrip('/')}")


def inside(root: str, path: str) -> str | None:
    """How a path is called within a chroot; None: it cannot be seen there."""
    if root == "/":
        return path
    base, there = os.path.realpath(root), os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    return "/" + os.path.relpath(there, base) if there.startswith(base + "/") else None
