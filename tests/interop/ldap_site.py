"""One daemon that asks a directory in many ways: each has a backend and a listener of its own. Beside them, a store with its listener."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop import directory_tree as tree
from tests.interop.daemon import GROUP, USER, Daemon, Site, listener, new_site
from tests.interop.mux import ask
from tests.interop.slapd import Slapd

Keys = Mapping[str, object]
"""Keys of an LDAP backend, as TOML has them."""

LOCAL = tree.Person("local", "pwlocal")
"""Whom the store knows, and not the directory."""

DEADLINE, TIMEOUT = 4.0, 1.0
"""Seconds within which each login is answered, and within which a server answers."""

_HEAD = """\
[backend.users]
type = "store"
path = "{site.store}"

[[route]]
realm = "*"
listener = "{site.mux}"
backends = ["users"]

[server]
user = "{user}"
group = "{group}"
deadline = "{deadline:g}s"

[log]
to = "stderr"

[control]
path = "{site.control}"

[failure]
delay = "0s"

[admission]
per_account = "off"
per_network = "off"
per_pair = "off"

"""

_WAY = """\
[backend.{name}]
type = "ldap"
{keys}

[[route]]
realm = "*"
listener = "{mux}"
backends = ["{name}"]
ignore_realm = true

"""


@dataclass(frozen=True, slots=True)
class LdapSite:
    """A site whose daemon knows the directory of `server`."""

    site: Site
    server: Slapd

    def mux(self, way: str) -> Path:
        """Where this way's listener is."""
        return self.site.directory / f"{way}.mux"

    def people(self, **more: object) -> Keys:
        """The keys that find people as the service, with `more` of them or others; what is None is left out."""
        keys = {
            "servers": [self.server.ldap],
            "bind_dn": self.server.service,
            "password_file": str(self.private("service", self.server.service_password)),
            "base": tree.PEOPLE,
            "timeout": f"{TIMEOUT:g}s",
        }
        return {name: value for name, value in {**keys, **more}.items() if value is not None}

    def private(self, name: str, text: str) -> Path:
        """A file of the daemon's own."""
        path = self.site.directory / name
        path.touch(0o600)
        path.write_text(text)
        if os.geteuid() == 0:
            shutil.chown(path, USER, GROUP)
        return path

    def configure(self, ways: Mapping[str, Keys]) -> None:
        """Write the configuration."""
        muxes = (self.site.mux, *map(self.mux, ways))
        names = {"site": self.site, "user": USER, "group": GROUP, "deadline": DEADLINE}
        text = "\n".join(map(listener, muxes)) + "\n" + _HEAD.format(**names)
        for way, keys in ways.items():
            lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in keys.items())
            text += _WAY.format(name=way, keys=lines, mux=self.mux(way))
        self.site.configuration.write_text(text)

    def ask(self, way: str, name: str, password: str, service: str = "smtp") -> bytes:
        """A login, as libsasl sends it."""
        return ask(self.mux(way), name, password, service)

    def login(self, way: str, person: tree.Person) -> bytes:
        """With the right password."""
        return self.ask(way, person.uid, person.password)

    @contextmanager
    def serving(self, ways: Mapping[str, Keys]) -> Iterator[Daemon]:
        """The daemon, ready, until the end of the block. LOCAL is in its store."""
        self.configure(ways)
        self.site.add(LOCAL.uid, LOCAL.password, "--backend", "users")
        with self.site.serving() as daemon:
            yield daemon


@contextmanager
def new_ldap_site(machine: Path, server: Slapd) -> Iterator[LdapSite]:
    """A site in a directory of its own."""
    with new_site(machine) as site:
        yield LdapSite(site, server)
