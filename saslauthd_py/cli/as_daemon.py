"""Becoming whom the daemon runs as: what root could open says nothing about what the daemon can, and root's files would be in its way."""

from __future__ import annotations

import os
import pwd

from saslauthd_py import privileges
from saslauthd_py.config.settings import Settings


def become_daemon(settings: Settings) -> str:
    """As root: become the daemon's user for good. Returns the name of the user that this process then is. Raises PrivilegeError."""
    if os.geteuid() == 0:
        privileges.drop(privileges.account(settings.server.user, settings.server.group))
    return name_of_user()


def name_of_user() -> str:
    """Who this process is."""
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
