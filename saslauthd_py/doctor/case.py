"""What a doctor has before it: our configuration, the machine's mail servers, and an account to try, if it is given one."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from saslauthd_py import privileges
from saslauthd_py.config.settings import Listen, Settings
from saslauthd_py.mta.caller import Caller, inside
from saslauthd_py.mta.machine import Machine
from saslauthd_py.mta.processes import Who
from saslauthd_py.privileges import Ids, PrivilegeError
from saslauthd_py.secret import Secret

USUAL = "/etc/saslauthd-py/saslauthd-py.toml"
"""The configuration that systemd's unit starts the daemon with."""

BOOTED = "/run/systemd/system"
"""There where systemd is the machine's init (sd_booted(3))."""


@dataclass(frozen=True, slots=True)
class Account:
    """A test account as its user would type it."""

    name: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class Case:
    """`settings` None: the configuration at `path` cannot be used, and `fault` says why in a line."""

    path: str
    settings: Settings | None
    machine: Machine
    account: Account | None = None
    fault: str = ""
    targets: tuple[Target, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(_grouped(self.machine.callers)))

    def command(self, words: str) -> str:
        """A command of ours with this configuration."""
        return f"saslauthd-py {words} --config {shlex.quote(self.path)}"

    def start(self) -> str:
        """The command that starts the daemon: systemd's unit knows the usual configuration only."""
        usual = self.path == USUAL and os.path.isdir(BOOTED)
        return "systemctl start saslauthd-py" if usual else self.command("serve")

    def restart(self) -> str:
        """The command that has it begin anew."""
        usual = self.path == USUAL and os.path.isdir(BOOTED)
        return "systemctl restart saslauthd-py" if usual else f"stop the daemon, then {self.command('serve')}"

    def reload(self) -> str:
        """The command by which the daemon takes its configuration anew."""
        return self.command("reload") if self.path != USUAL else "saslauthd-py reload"

    def listens(self, protocol: str) -> Iterator[Listen]:
        """The configuration's listeners at paths, of a protocol."""
        if self.settings is not None:
            yield from (one for one in self.settings.listen if one.path is not None and one.protocol == protocol)

    def listener(self, caller: Caller) -> Listen | None:
        """The one that a caller asks; None: it asks elsewhere."""
        if self.settings is None:
            return None
        if caller.is_tcp:
            return next((one for one in self.settings.listen if one.name == caller.path.removeprefix("inet:")), None)
        return next((one for one in self.settings.listen if one.path is not None and _same(one.path, caller.outside)), None)

    def visible(self, caller: Caller) -> tuple[Listen, str] | None:
        """A listener that a caller could ask, and its path as the caller would have to say it."""
        for one in self.listens(caller.protocol):
            if one.path is not None and (path := inside(caller.root, one.path)) is not None:
                return one, path
        return None

    def daemon(self) -> Ids | None:
        """Whom the daemon runs as, where root starts it; None: there is no such user, or no configuration."""
        try:
            return privileges.account(self.settings.server.user, self.settings.server.group) if self.settings is not None else None
        except PrivilegeError:
            return None


@dataclass(frozen=True, slots=True)
class Target:
    """Callers that ask in the same way; `caller` stands for all of them."""

    caller: Caller
    names: tuple[str, ...]

    def __str__(self) -> str:
        chroot = f" (chrooted to {self.caller.root})" if self.caller.chrooted else ""
        return ", ".join(self.names) + chroot


def ourselves() -> Who:
    """As whom this process asks."""
    return Who(os.geteuid(), os.getegid(), frozenset(os.getgroups()) - {os.getegid()})


def _grouped(callers: tuple[Caller, ...]) -> Iterator[Target]:
    found: dict[tuple[object, ...], list[Caller]] = {}
    for one in callers:
        found.setdefault((one.protocol, one.path, one.root, one.who, one.realm, one.realm_taken_off), []).append(one)
    for group in found.values():
        yield Target(group[0], tuple(one.name for one in group))


def _same(one: str, other: str) -> bool:
    """One socket, be it by links or by a directory that is mounted in both places."""
    if _real(one) == _real(other):
        return True
    with suppress(OSError):
        return os.path.samefile(one, other)
    return False


def _real(path: str) -> str:
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
