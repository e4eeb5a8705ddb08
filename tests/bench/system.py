"""A machine of the bench's own for daemons that ask the system: PAM stacks, accounts and a syslog that nobody else sees."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from saslauthd_py.wire import saslauthd
from tests.bench.failures import BenchError
from tests.bench.generator import login
from tests.interop.pam_machine import PamMachine, pam_machine

_STACK = "auth required pam_unix.so {options}\naccount required pam_unix.so\n"


@contextmanager
def machine(directory: str, accounts: Mapping[str, str], options: str = "") -> Iterator[PamMachine]:
    """A new one below `directory`, with pam_unix (and its `options`) for smtp. `accounts`: what shadow has for each name.

    BenchError: no root, or no namespaces.
    """
    if os.geteuid():
        raise BenchError("PAM and shadow need a machine of their own in a mount namespace: run as root, or name other scenarios by --only")
    if not shutil.which("unshare"):
        raise BenchError("no unshare to make a mount namespace with: apt-get install util-linux")
    with pam_machine(Path(directory)) as made:
        made.service("smtp", _STACK.format(options=options))
        for name, stored in accounts.items():
            made.account(name, stored)
        yield made


def system_login(name: str, secret: str) -> saslauthd.Request:
    """A login of a system account: it has no realm."""
    return login(name, secret, "")
