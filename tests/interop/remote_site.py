"""One daemon that asks other servers in many ways: each has a backend and a listener of its own. Beside them, a store with its listener."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.daemon import GROUP, USER, Daemon, Site, listener, new_site
from tests.interop.mux import ask

Keys = Mapping[str, object]
"""Keys of a backend, its type too, as TOML has them."""

LOCAL, LOCAL_PASSWORD = "local", "pwlocal"
"""Whom the store knows, and nobody else."""

DEADLINE = 4.0
"""Seconds within which each login is answered."""

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
level = "{level}"

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
{keys}

[[route]]
realm = "*"
listener = "{mux}"
backends = ["{name}"]
ignore_realm = true

"""


@dataclass(frozen=True, slots=True)
class RemoteSite:
    """A site with a listener for each way. `level`: what its log has."""

    site: Site
    level: str

    def mux(self, way: str) -> Path:
        """Where this way's listener is."""
        return self.site.directory / f"{way}.mux"

    def private(self, name: str, text: str) -> Path:
        """A file of the daemon's own."""
        path = self.site.directory / name
        path.touch(0o600)
        path.write_text(text)
        if os.geteuid() == 0:
            shutil.chown(path, USER, GROUP)
        return path

    def ask(self, way: str, name: str, password: str, service: str = "smtp") -> bytes:
        """A login, as libsasl sends it."""
        return ask(self.mux(way), name, password, service)

    @contextmanager
    def serving(self, ways: Mapping[str, Keys]) -> Iterator[Daemon]:
        """The daemon, ready, until the end of the block. LOCAL is in its store."""
        muxes = (self.site.mux, *map(self.mux, ways))
        text = (
            "\n".join(map(listener, muxes))
            + "\n"
            + _HEAD.format(site=self.site, user=USER, group=GROUP, deadline=DEADLINE, level=self.level)
        )
        for way, keys in ways.items():
            lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in keys.items())
            text += _WAY.format(name=way, keys=lines, mux=self.mux(way))
        self.site.configuration.write_text(text)
        self.site.add(LOCAL, LOCAL_PASSWORD, "--backend", "users")
        with self.site.serving() as daemon:
            yield daemon


@contextmanager
def new_remote_site(machine: Path) -> Iterator[RemoteSite]:
    """A site in a directory of its own."""
    with new_site(machine) as site:
        yield RemoteSite(site, "debug")
