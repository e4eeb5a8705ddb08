"""The ports of a Cyrus IMAP server, from cyrus.conf: what its master starts an imapd for."""

from __future__ import annotations

import os
import re
import shlex
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

_SERVICES = re.compile(r"^\s*SERVICES\s*\{(.*?)^\s*\}", re.MULTILINE | re.DOTALL)
_ENTRY = re.compile(r'(\w+)="([^"]*)"')
_LARGEST = 1 << 20
_USUAL = 143


@dataclass(frozen=True, slots=True)
class Port:
    """Where an imapd takes logins. `tls_at_once`: TLS from the first byte (imapd -s)."""

    host: str
    number: int
    tls_at_once: bool = False


def ports(imapd_conf: str) -> tuple[Port, ...]:
    """Those that read this imapd.conf, by the cyrus.conf beside it; without one, the usual port."""
    try:
        with open(os.path.join(os.path.dirname(imapd_conf), "cyrus.conf"), encoding="utf-8", errors="replace") as file:
            return tuple(parse(file.read(_LARGEST), imapd_conf))
    except OSError:
        return (Port("127.0.0.1", _USUAL),)


def parse(text: str, imapd_conf: str) -> Iterator[Port]:
    """The ports in the text of a cyrus.conf (cyrus.conf(5))."""
    lines = "\n".join(line.partition("#")[0] for line in text.splitlines())
    for block in _SERVICES.findall(lines):
        for line in block.splitlines():
            entry = dict(_ENTRY.findall(line))
            words = _words(entry.get("cmd", ""))
            port = _port(entry.get("listen", ""), "-s" in words[1:])
            if words and os.path.basename(words[0]) == "imapd" and _file(words) in (None, imapd_conf) and port is not None:
                yield port


def _words(command: str) -> list[str]:
    with suppress(ValueError):
        return shlex.split(command)
    return []


def _file(words: list[str]) -> str | None:
    return next((value for flag, value in pairwise(words) if flag == "-C"), None)


def _port(listen: str, tls_at_once: bool) -> Port | None:
    """None: it is a socket's path, or names a port that is not known."""
    host, _, name = listen.rpartition(":")
    host = host.strip("[]")
    if "/" in listen or not name:
        return None
    with suppress(OSError):
        return Port("127.0.0.1" if host in ("", "*") else host, int(name) if name.isdecimal() else socket.getservbyname(name), tls_at_once)
    return None
