"""What is to be done on this machine, as a value: to be shown, or made."""

from __future__ import annotations

from dataclasses import dataclass

from saslauthd_py.setup.asking import Asker, Socket
from saslauthd_py.setup.proving import Door
from saslauthd_py.setup.reloading import Reload
from saslauthd_py.setup.steps import Step


@dataclass(frozen=True, slots=True)
class Plan:
    """`title` names the mail server, `socket` is what it will ask as `asker`, `theirs` what changes on its side, and `reload` has it taken.

    `commands` do by hand what `theirs` does. `doors` are where logins go through then. `service` and `realm` are what the daemon is
    told of a login without an @. `notes`: what else an admin should know.
    """

    title: str
    asker: Asker
    socket: Socket
    theirs: tuple[Step, ...]
    reload: Reload
    commands: tuple[str, ...]
    doors: tuple[Door, ...]
    service: str = "smtp"
    realm: str = ""
    notes: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """Everything that changes, in order; none: it is all as it should be."""
        return (*self.socket.ours, *self.socket.joins, *self.theirs)
