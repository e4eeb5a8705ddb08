"""16: this machine's own name, where it is part of who logs in."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from saslauthd_py.config.settings import SasldbSettings
from saslauthd_py.doctor.case import Case
from saslauthd_py.doctor.said import Said, failed, passed, warned


def find(case: Case) -> Iterator[Said]:
    """A sasldb2's users have the host's name for a realm where none was given: another name, and they are gone."""
    backends = {name: one for name, one in (case.settings.backend.items() if case.settings else ()) if isinstance(one, SasldbSettings)}
    by_host = [name for name, one in backends.items() if one.default_realm is None]
    if not by_host:
        yield passed("no login depends on this machine's name")
        return
    host = socket.gethostname()
    wanted = f'in {case.path}: [backend.{by_host[0]}] default_realm = "REALM", as sasldblistusers2 shows it'
    if host in ("", "localhost", "(none)"):
        yield failed(
            f"this machine has no name of its own ({host!r}), and users of {', '.join(by_host)} without a realm have it for one", wanted
        )
        return
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        yield warned(f"this machine's name {host} has no address ({error}): users of {by_host[0]} without a realm depend on it", wanted)
        return
    yield passed(f"users of {', '.join(by_host)} without a realm are of {host}")
