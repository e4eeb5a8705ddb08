"""A real Postfix and a daemon that nobody asks yet, and `saslauthd-py setup` on them, a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interop import postfix as private_postfix
from tests.interop.daemon import Daemon, Site, environment, listener, new_site
from tests.interop.postfix import Postfix

ALICE, PASSWORD = "alice@example.test", "pw1"
_SCHEME = 'scheme = "sha512crypt"\n'


@dataclass(frozen=True, slots=True)
class Done:
    """What the command printed, its exit code, and the seconds that it took."""

    code: int
    told: dict[str, Any]
    errors: str
    seconds: float


@dataclass(frozen=True, slots=True)
class SetUp:
    """`flags` name the mail server and its configuration."""

    site: Site
    flags: tuple[str, ...]

    @property
    def state(self) -> Path:
        return self.site.directory / "state"

    def command(self, *more: str) -> list[str]:
        fixed = ("--config", str(self.site.configuration), "--state-dir", str(self.state), "--json")
        return [*Daemon.PROGRAM, "setup", *self.flags, *fixed, *more]

    def run(self, *more: str, given: str = "") -> Done:
        began = time.monotonic()
        done = subprocess.run(
            self.command(*more), env=environment(), cwd="/", input=given, capture_output=True, text=True, timeout=60, check=False
        )
        seconds = time.monotonic() - began
        return Done(done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr, seconds)

    def users(self) -> list[str]:
        command = [sys.executable, "-m", "saslauthd_py", "user", "list", "--config", str(self.site.configuration)]
        done = subprocess.run(command, env=environment(), cwd="/", capture_output=True, text=True, timeout=60, check=True)
        return [line.split("\t")[0] for line in done.stdout.splitlines()]


class Kept:
    """Copies of trees and files, to be compared with `diff -r`, owners and modes too."""

    def __init__(self, directory: Path, originals: Sequence[Path]) -> None:
        self._pairs = [(original, directory / str(number)) for number, original in enumerate(originals)]
        directory.mkdir()
        for original, copy in self._pairs:
            subprocess.run(["cp", "-a", original, copy], check=True)

    def differences(self) -> str:
        return "".join(self._of(original, copy) for original, copy in self._pairs)

    @staticmethod
    def _of(original: Path, copy: Path) -> str:
        contents = subprocess.run(["diff", "-r", copy, original], capture_output=True, text=True, check=False).stdout
        before, after = (_owned(path) for path in (copy, original))
        return contents + "".join(f"{line}\n" for line in sorted(before ^ after))


def _owned(top: Path) -> set[str]:
    format_ = "%P %U:%G %m %y %l\n"
    return set(subprocess.run(["find", top, "-printf", format_], capture_output=True, text=True, check=True).stdout.splitlines())


@contextmanager
def for_postfix(machine: Path, *, chroot: bool) -> Iterator[tuple[Postfix, SetUp, Kept]]:
    """A Postfix as conf/postfix has it, whose socket nobody listens at; the daemon runs, and alice is in its store."""
    with new_site(machine) as site, private_postfix.running(site.directory / "postfix", chroot=chroot) as postfix:
        site.configure([listener(site.mux)], _SCHEME)
        site.add(ALICE, PASSWORD)
        conf = postfix.directory / "conf"
        kept = Kept(site.directory / "kept", [conf, site.configuration])
        with site.serving():
            yield postfix, SetUp(site, ("postfix", "--postfix-config", str(conf))), kept
