"""A daemon with a monitor, in which a test has a hand: code that runs in the monitor, in the front, or as the workers' calls."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.daemon import GROUP, USER, Daemon, listener, searchable

CONFIGURATION = """\
{listener}
[backend.system]
type = "pam"
services = ["smtp", "imap", "sieve", "ldap", "pop"]
workers = {workers}
{keys}

[[route]]
realm = ""
backends = ["system"]

[server]
user = "{user}"
group = "{group}"
deadline = "2s"

[log]
to = "stderr"

[control]
path = "{control}"

[failure]
delay = "0s"

[admission]
per_account = "off"
"""


class Site:
    """A directory with a configuration that has PAM and nothing else."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.configuration = directory / "saslauthd-py.toml"
        self.mux = directory / "mux"

    def configure(self, workers: int = 2, keys: str = "") -> None:
        names = {"user": USER, "group": GROUP, "control": self.directory / "control"}
        text = CONFIGURATION.format(listener=listener(self.mux), workers=workers, keys=keys, **names)
        self.configuration.write_text(text)

    @contextmanager
    def serving(self, *, monitor: str = "", front: str = "") -> Iterator[Daemon]:
        """The daemon, in whose monitor and front these programs run before anything else; at the end it must stop as asked."""
        daemon = Daemon(self.configuration, program(monitor, front))
        daemon.start()
        try:
            yield daemon
        finally:
            if daemon.running:
                daemon.stop()


def program(monitor: str = "", front: str = "") -> list[str]:
    """A command line without `serve`'s flags: the daemon's own entries, each with a test's code before it."""
    entry = "import sys; sys.path.append(sys.argv.pop())\n" + front + "\nfrom saslauthd_py.cli.front import main; sys.exit(main())"
    text = f"import sys, saslauthd_py.monitor.front as starting\nstarting._ENTRY = {entry!r}\n" if front else "import sys\n"
    return [sys.executable, "-c", f"{text}{monitor}\nfrom saslauthd_py.cli.main import main; sys.exit(main())"]


@contextmanager
def new_site() -> Iterator[Site]:
    """A site that every user can find; gone at the end."""
    with searchable() as directory:
        yield Site(directory)


def undated(line: str, level: str = "ERROR") -> str:
    """A line of standard error behind the time and the level that every one begins with."""
    found = re.match(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9:]{{8}}Z {level} ", line)
    assert found is not None, line
    return line[found.end() :]
