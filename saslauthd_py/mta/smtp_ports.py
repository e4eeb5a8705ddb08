"""The ports where mail programs log in over SMTP, as this machine reaches them, each with the name of what listens there."""

from __future__ import annotations

from collections.abc import Iterator

from saslauthd_py.mta.exim import Exim
from saslauthd_py.mta.machine import Machine
from saslauthd_py.mta.postfix import Postfix
from saslauthd_py.mta.smtp import Server


def of_machine(machine: Machine) -> Iterator[tuple[str, Server]]:
    """All of them. A name is that of the `Caller` who asks for the logins made there."""
    if machine.postfix is not None:
        yield from of_postfix(machine.postfix)
    if machine.exim is not None:
        yield from of_exim(machine.exim)


def of_postfix(postfix: Postfix) -> Iterator[tuple[str, Server]]:
    """Those of its smtpd services that take logins and have a port."""
    for service in postfix.logins():
        address = postfix.address(service)
        if address is not None:
            proxied = postfix.value("smtpd_upstream_proxy_protocol", service) != ""
            yield f"smtpd of {service.name}", Server(*address, postfix.is_on("smtpd_tls_wrappermode", service), proxied)


def of_exim(exim: Exim) -> Iterator[tuple[str, Server]]:
    """Those of its daemon."""
    for host, port in exim.addresses():
        yield "exim", Server(host, port, tls_at_once=port in exim.tls_ports)
