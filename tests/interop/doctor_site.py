"""A real Postfix and a real daemon that are well, to be broken in one place; and what the doctor, a process of its own, says of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop import postfix as private_postfix
from tests.interop.daemon import Daemon, Site, environment, new_site
from tests.interop.postfix import Postfix
from tests.interop.waiting import PATIENCE

ALICE, PASSWORD = "alice@example.test", "pw1"
LIMIT = 10.0
"""Seconds that a doctor may take, whatever hangs."""

_LISTENER = """\
[[listen]]
protocol = "saslauthd"
path = "{mux}"
group = "postfix"
mode = "0660"

"""
_SCHEME = 'scheme = "sha512crypt"\n'


@dataclass(frozen=True, slots=True)
class Line:
    """A finding."""

    check: str
    outcome: str
    cause: str
    mend: str

    def __str__(self) -> str:
        return f"{self.outcome} {self.check} {self.cause} -> {self.mend}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a doctor said, its exit code, and the seconds it took."""

    lines: tuple[Line, ...]
    code: int
    seconds: float

    @property
    def first(self) -> Line:
        """The first line that is not a pass."""
        found = next((line for line in self.lines if line.outcome != "pass"), None)
        assert found is not None, "it found nothing:\n" + "\n".join(map(str, self.lines))
        return found

    def of(self, check: str) -> list[Line]:
        return [line for line in self.lines if line.check == check]


@dataclass(frozen=True, slots=True)
class Tree:
    """A Postfix, and a site whose daemon it asks."""

    postfix: Postfix
    site: Site

    @property
    def conf(self) -> Path:
        return self.postfix.directory / "conf"

    @property
    def smtpd_conf(self) -> Path:
        return self.conf / "sasl" / "smtpd.conf"

    def examined(self, *flags: str, account: bool = True, password: str = PASSWORD) -> Seen:
        """`saslauthd-py doctor`."""
        who = ("--user", ALICE, "--password-stdin") if account else ()
        command = [*Daemon.PROGRAM, *self.words(*who, "--json", *flags)]
        began = time.monotonic()
        done = subprocess.run(command, env=environment(), cwd="/", input=password, capture_output=True, text=True, timeout=60, check=False)
        seconds = time.monotonic() - began
        assert done.returncode in (0, 65), done.stdout + done.stderr
        found = json.loads(done.stdout)
        return Seen(tuple(Line(**one) for one in found["findings"]), done.returncode, seconds)

    def words(self, *more: str) -> list[str]:
        """Of its command line."""
        return ["doctor", "--config", str(self.site.configuration), "--mta", "postfix", "--postfix-config", str(self.conf), *more]

    def postconf(self, *arguments: str) -> None:
        """Change main.cf or master.cf, and have the running Postfix take it."""
        subprocess.run(["postconf", "-c", str(self.conf), *arguments], check=True, capture_output=True, timeout=PATIENCE)
        self.reload()

    def reload(self) -> None:
        """As `postfix reload` does it."""
        private_postfix.make_old(self.conf)
        os.kill(int((self.postfix.directory / "queue" / "pid" / "master.pid").read_text()), signal.SIGHUP)

    @contextmanager
    def kept(self, *names: str) -> Iterator[None]:
        """These files of conf/ are as before at the end of the block."""
        before = {name: (self.conf / name).read_bytes() for name in names}
        try:
            yield
        finally:
            for name, content in before.items():
                (self.conf / name).write_bytes(content)
            self.reload()


def configure(site: Site, mux: Path, more: str = "") -> None:
    """A listener for Postfix, the store, and `more`."""
    site.configure([_LISTENER.format(mux=mux)], _SCHEME + more)


@contextmanager
def new_tree(machine: Path, postfix: Postfix, more: str = "") -> Iterator[Tree]:
    """A site for a Postfix that runs already; alice is in its store, and its daemon does not run yet."""
    with new_site(machine) as site:
        configure(site, postfix.mux, more)
        site.add(ALICE, PASSWORD)
        yield Tree(postfix, site)
