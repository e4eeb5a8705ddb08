"""Who has the path or the port that we want, for the admin who has to decide between the two."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from saslauthd_py.config.settings.address import TcpAddress

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTENING = "0A"  # TCP_LISTEN, as they write it


def process(pid: int, uid: int) -> str:
    """A process, as an error names it."""
    return f"{pid} {_command(pid)}, uid {uid}"


def of_port(address: TcpAddress) -> str:
    """Who listens there already, as the beginning of an error, as far as the kernel says. Looks into every process."""
    for uid, inode in _listening(address):
        if (pid := _holder(inode)) is None:
            return f"a process of uid {uid}"
        return "this daemon itself, until it is restarted," if pid == os.getpid() else f"another process ({process(pid, uid)})"
    return "another process"


def _command(pid: int) -> str:
    try:
        comm = Path(f"/proc/{pid}/comm").read_text("ascii", "replace").removesuffix("\n")
    except OSError:
        return "?"  # of another pid namespace, or hidden by hidepid
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in comm)  # a process names itself


def _listening(address: TcpAddress) -> Iterator[tuple[int, int]]:
    """User id and inode of the sockets that keep others from that address: those at it, and where either is at all addresses."""
    for table in _TABLES:
        with suppress(OSError), open(table, encoding="ascii") as lines:
            for fields in map(str.split, lines):
                if fields[3] != _LISTENING:  # the heading too
                    continue
                host, port = fields[1].split(":")
                there = _host(host)
                if int(port, 16) == address.port and (there == address.host or there.is_unspecified or address.host.is_unspecified):
                    yield int(fields[7]), int(fields[9])


def _host(written: str) -> IPv4Address | IPv6Address:
    """From words of 32 bits in hexadecimal, each in the order of this machine."""
    words = (written[at : at + 8] for at in range(0, len(written), 8))
    host = ip_address(b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words))
    return (isinstance(host, IPv6Address) and host.ipv4_mapped) or host


def _holder(inode: int) -> int | None:
    """A process that has that socket; this one, where it has."""
    others = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    for pid in (os.getpid(), *others):
        with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as descriptors:  # it is gone, or not ours to look into
            for one in descriptors:
                with suppress(OSError):
                    if os.readlink(one.path) == f"socket:[{inode}]":
                        return pid
    return None
