"""One daemon that asks a directory in many ways: each has a backend and a listener of its own. Beside them, a store with its listener."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop import directory_tree as tree
from tests.interop import remote_site
from tests.interop.daemon import new_site
from tests.interop.remote_site import Keys, RemoteSite
from tests.interop.slapd import Slapd

LOCAL = tree.Person(remote_site.LOCAL, remote_site.LOCAL_PASSWORD)
"""Whom the store knows, and not the directory."""

TIMEOUT = 1.0
"""Seconds within which a server answers."""


@dataclass(frozen=True, slots=True)
class LdapSite(RemoteSite):
    """A site whose daemon knows the directory of `server`."""

    server: Slapd

    def people(self, **more: object) -> Keys:
        """The keys that find people as the service, with `more` of them or others; what is None is left out."""
        keys = {
            "type": "ldap",
            "servers": [self.server.ldap],
            "bind_dn": self.server.service,
            "password_file": str(self.private("service", self.server.service_password)),
            "base": tree.PEOPLE,
            "timeout": f"{TIMEOUT:g}s",
        }
        return {name: value for name, value in {**keys, **more}.items() if value is not None}

    def login(self, way: str, person: tree.Person) -> bytes:
        """With the right password."""
        return self.ask(way, person.uid, person.password)


@contextmanager
def new_ldap_site(machine: Path, server: Slapd) -> Iterator[LdapSite]:
    """A site in a directory of its own."""
    with new_site(machine) as site:
        yield LdapSite(site, "info", server)
