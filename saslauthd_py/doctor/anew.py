"""How a mail server's processes are started anew, so that they have what their user has by now."""

from __future__ import annotations

import os

from saslauthd_py.doctor import postfix_lines
from saslauthd_py.doctor.case import BOOTED
from saslauthd_py.mta.caller import Caller
from saslauthd_py.mta.distribution import DEBIAN
from saslauthd_py.mta.machine import Machine

_UNITS = {"exim": "exim4", "imapd": "cyrus-imapd"}
"""Of those that are not Postfix, by the caller's name; only a restart gives them other groups."""


def command(machine: Machine, caller: Caller) -> str:
    """The command that does it."""
    unit = _UNITS.get(caller.name) if machine.distribution is DEBIAN or caller.name != "exim" else "exim"
    if unit is None and machine.postfix is not None:
        return postfix_lines.reload(machine.postfix)
    return f"systemctl restart {unit or 'postfix'}" if os.path.isdir(BOOTED) else f"service {unit or 'postfix'} restart"
