"""A Postfix as it is set up, read by its own `postconf`: every parameter with its default, and the services of master.cf."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from saslauthd_py.mta import programs
from saslauthd_py.mta.master_cf import Service, parameters, services
from saslauthd_py.mta.programs import Unreadable

PROGRAM = "postconf"
DEFAULT_DIRECTORY = "/etc/postfix"

_PORTS = {"smtp": 25, "smtps": 465, "submissions": 465, "submission": 587}
"""Where /etc/services does not have them."""


@dataclass(frozen=True, slots=True)
class Postfix:
    """`config_directory` is the one that was read; `sasl_types` are those that were compiled in."""

    config_directory: str
    parameters: Mapping[str, str]
    services: tuple[Service, ...]
    sasl_types: frozenset[str]

    @property
    def version(self) -> str:
        """Such as 3.7.11."""
        return self.parameters.get("mail_version", "")

    @property
    def queue_directory(self) -> str:
        """Where its chroot is."""
        return self.parameters.get("queue_directory", "/var/spool/postfix")

    def value(self, name: str, service: Service | None = None) -> str:
        """A parameter as this service has it; empty where there is none."""
        if service is not None and name in service.overrides:
            return self._expanded(service.overrides[name], service)
        return self._expanded(self.parameters.get(name, ""), service)

    def is_on(self, name: str, service: Service | None = None) -> bool:
        """A parameter that is yes or no."""
        return self.value(name, service).lower() == "yes"

    def chrooted(self, service: Service) -> bool:
        """The column chroot. Where it says `-` that is y up to compatibility_level 0 (COMPATIBILITY_README), and n from 1 on."""
        if service.chroot is not None:
            return service.chroot
        return not any(map(int, re.findall(r"[0-9]+", self.parameters.get("compatibility_level", "0"))))

    def logins(self) -> tuple[Service, ...]:
        """The smtpd services that take logins, in the order of master.cf."""
        return tuple(one for one in self.smtpd() if self.is_on("smtpd_sasl_auth_enable", one))

    def smtpd(self) -> tuple[Service, ...]:
        """All smtpd services that a client can connect to. `pass` ones (behind postscreen) take logins, and have no port."""
        return tuple(one for one in self.services if one.command.rpartition("/")[2] == "smtpd" and one.type in ("inet", "pass"))

    def address(self, service: Service) -> tuple[str, int] | None:
        """Where this machine reaches an inet service; None: it has no port."""
        if service.type != "inet":
            return None
        host, _, port = service.name.rpartition(":")
        host = host.strip("[]")
        number = int(port) if port.isdecimal() else _port(port)
        return (host or self._here(), number) if number else None

    def _here(self) -> str:
        """Where this machine reaches a service without an address of its own; a second instance shares 127.0.0.1 with nobody."""
        interfaces = self.value("inet_interfaces").replace(",", " ").split()
        if not interfaces or {"all", "loopback-only", "localhost", "127.0.0.1"} & set(interfaces):
            return "::1" if self.value("inet_protocols") == "ipv6" else "127.0.0.1"
        return interfaces[0].strip("[]")

    def _expanded(self, value: str, service: Service | None, depth: int = 8) -> str:
        """`$name` and `${name}` of what `postconf -x` left, or what a service's own setting refers to."""
        if "$" not in value or not depth:
            return value

        def filled(found: re.Match[str]) -> str:
            name = found[1] or found[2] or found[3]
            own = service.overrides if service is not None else {}
            return self._expanded(own.get(name, self.parameters.get(name, "")), service, depth - 1)

        return re.sub(r"\$(?:(\w+)|\{(\w+)\}|\((\w+)\))", filled, value)


def is_here(config_directory: str | None = None) -> bool:
    """Is there a Postfix with a main.cf?"""
    return programs.find(PROGRAM) is not None and os.path.isfile(os.path.join(config_directory or DEFAULT_DIRECTORY, "main.cf"))


def read(config_directory: str | None = None) -> Postfix:
    """The Postfix whose main.cf and master.cf lie there; None: the default one. Raises Unreadable with postconf's own complaint."""
    program = programs.find(PROGRAM)
    if program is None:
        raise Unreadable("no postconf found: is Postfix installed?")
    directory = os.path.abspath(config_directory or DEFAULT_DIRECTORY)
    if not os.path.isfile(os.path.join(directory, "main.cf")):
        raise Unreadable(f"{directory}: no main.cf there: name Postfix's configuration directory with --postfix-config")
    asked = (program, "-c", directory)
    types = frozenset(programs.output((*asked, "-a")).split())
    table, settings = programs.output((*asked, "-M")), programs.output((*asked, "-P"))
    return Postfix(directory, parameters(programs.output(asked)), services(table, settings), types)


def _port(name: str) -> int | None:
    try:
        return socket.getservbyname(name, "tcp")
    except OSError:
        return _PORTS.get(name)
