"""One machine's worth of saslauthd-py: a directory with a configuration, a store that is not there yet, and a socket."""

from __future__ import annotations

import grp
import json
import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli.commands import Outcome, forked

OWNER = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
"""Whom the daemon runs as, and whose the store is."""

_CONFIGURATION = """\
[server]
user = "{user}"
group = "{group}"

[log]
to = "stderr"

[control]
path = "{mux}.control"

[failure]
delay = "0s"

[[listen]]
protocol = "saslauthd"
path = "{mux}"

[backend.users]
type = "store"
path = "{store}"

[[route]]
realm = "*"
backends = ["users"]

{more}
"""


@dataclass(frozen=True, slots=True)
class Site:
    """The files of a site, and its `user` commands."""

    directory: Path

    @property
    def configuration(self) -> str:
        return str(self.directory / "saslauthd-py.toml")

    @property
    def store(self) -> Path:
        return self.directory / "store" / "users.db"

    @property
    def mux(self) -> str:
        return str(self.directory / "mux")

    def configure(self, more: str = "") -> None:
        """Write the configuration, with more tables at its end."""
        group = grp.getgrgid(OWNER.pw_gid).gr_name
        text = _CONFIGURATION.format(user=OWNER.pw_name, group=group, mux=self.mux, store=self.store, more=more)
        Path(self.configuration).write_text(text)

    def user(self, command: str, *arguments: str, stdin: bytes = b"", screen: bool = False) -> Outcome:
        """`saslauthd-py user COMMAND` with this site's configuration."""
        return forked("user", command, *arguments, "--config", self.configuration, stdin=stdin, screen=screen)

    def add(self, name: str, password: bytes = b"secret", *flags: str) -> None:
        """`user add`, which succeeds."""
        outcome = self.user("add", name, "--password-stdin", *flags, stdin=password)
        assert outcome.code == 0, outcome.err

    def shown(self, name: str) -> dict[str, Any]:
        """What `user show --json` tells of an account."""
        outcome = self.user("show", name, "--json")
        assert outcome.code == 0, outcome.err
        fields: dict[str, Any] = json.loads(outcome.out)
        return fields

    def right(self, name: str, secret: bytes) -> bool:
        """Whether a login is accepted, as the daemon's own pieces decide."""
        return forked("test", name, "--direct", "--password-stdin", "--config", self.configuration, stdin=secret).code == 0
