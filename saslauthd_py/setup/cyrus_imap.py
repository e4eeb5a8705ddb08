"""Cyrus IMAP: libsasl's options in imapd.conf."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import partial

from saslauthd_py.mta import imap, processes, smtpd_conf
from saslauthd_py.mta.cyrus_imap import DEFAULT_FILE, SERVICES, CyrusImap
from saslauthd_py.mta.machine import Machine
from saslauthd_py.mta.processes import Who
from saslauthd_py.setup import files, sasl_lines
from saslauthd_py.setup.asking import Asker, choose
from saslauthd_py.setup.plan import Plan
from saslauthd_py.setup.proving import Door
from saslauthd_py.setup.reloading import Master, Reload
from saslauthd_py.setup.site import Refused, Site
from saslauthd_py.setup.steps import written

_MASTERS = ("cyrmaster", "cyrus-master", "master")
_USERS = ("cyrus", "cyrus-imap")
_SERVICES_FILE = "/etc/cyrus.conf"
_SERVICE = re.compile(r'^\s*\w+\s+cmd="(?P<program>\S*imapd)(?P<arguments>[^"]*)".*?listen="(?P<listen>[^"]+)"', re.MULTILINE)
_INCLUDE = re.compile(r"^@include:\s*(\S+)", re.MULTILINE)
_HERE, _NAMED_PORTS = "127.0.0.1", {"imap": 143}
_PREFIX = "sasl_"


def plan(site: Site, machine: Machine) -> Plan:
    """How this Cyrus IMAP comes to ask the daemon. Raises Refused, Unreadable, OSError."""
    server = machine.cyrus_imap
    if server is None:
        raise Refused(machine.faults.get("cyrus-imap", "there is no Cyrus IMAP here: name its configuration with --imapd-conf"))
    now = next((one.outside for one in machine.callers if "imapd" in one.programs), "")
    asker = Asker("saslauthd", _who(server), frozenset({"/"}), f"Cyrus IMAP of {server.file} asks here.", now, regroups=False)
    runtime = os.path.dirname(site.settings.control.path)
    socket = choose(site, asker, (os.path.join(runtime, "imapd"), os.path.join(runtime, "imapd-mux")))
    lines = sasl_lines.differing(server.options, "saslauthd", socket.path, _PREFIX)
    text = (files.read(os.path.realpath(server.file)) or b"").decode(errors="surrogateescape")
    _refuse_included(server, text, lines)
    master = Master(names=_MASTERS, configurations=(server.file, *([""] if server.file == DEFAULT_FILE else [])))
    step = written(server.file, sasl_lines.edited(text, lines).encode(errors="surrogateescape"))
    return Plan(
        f"Cyrus IMAP of {server.file}",
        asker,
        socket,
        (step,) if step is not None else (),
        Reload((), master, hang_up=True),
        tuple(f"in {server.file}: {key}: {value}" for key, value in lines.items()),
        tuple(_doors(server, master)),
        SERVICES[0],
        notes=tuple(_notes(server)),
    )


def _refuse_included(server: CyrusImap, text: str, lines: Mapping[str, str]) -> None:
    """Cyrus IMAP does not start where an option is given twice."""
    for included in _INCLUDE.findall(text):
        twice = sorted(lines.keys() & smtpd_conf.read(included).keys())
        if twice:
            raise Refused(f"{included}: {', '.join(twice)} cannot be said again in {server.file}, which includes it: take that out first")


def _notes(server: CyrusImap) -> Iterator[str]:
    if server.options.get("autocreate_quota", "-1") != "-1":
        yield "autocreate_quota gives the throw-away account a mailbox, which stays: prove it with --user, by an account that has one"


def _doors(server: CyrusImap, master: Master) -> Iterator[Door]:
    """The ports of imapd with this imapd.conf, by the master's own list of services; those that speak TLS at once are the same program."""
    for found in _SERVICE.finditer((files.read(_services_file(master)) or b"").decode(errors="replace")):
        words = found["arguments"].split()
        host, _, port = found["listen"].rpartition(":")
        number = int(port) if port.isdecimal() else _NAMED_PORTS.get(port)
        named = words[words.index("-C") + 1 :][:1] if "-C" in words else [server.file]
        if number is not None and "-s" not in words and named == [server.file]:
            address = host.strip("[]") if host not in ("", "*", "localhost") else _HERE
            yield Door(f"{address}:{number} (imapd)", partial(imap.login, address, number))


def _services_file(master: Master) -> str:
    running = processes.process(pid) if (pid := master.find()) is not None else None
    words = running.arguments if running is not None else ()
    return words[words.index("-M") + 1] if "-M" in words[:-1] else _SERVICES_FILE


def _who(server: CyrusImap) -> Who:
    for user in (server.options.get("cyrus_user", ""), *_USERS):
        try:
            return processes.of_user(user)
        except KeyError:
            continue
    raise Refused(f"{server.file}: there is no user {' or '.join(_USERS)}: name Cyrus IMAP's own with cyrus_user")
