"""The original's flags as a configuration: what files they name is read, and what this machine has is looked at."""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any

from saslauthd_py.config.legacy import mechanisms, pam_services, site
from saslauthd_py.config.legacy.flags import Flags
from saslauthd_py.config.legacy.site import Instance
from saslauthd_py.config.settings import PamSettings

SASLDB = "/etc/sasldb2"

_MAX_SIZE = 1 << 20


def instance(flags: Flags, group: str = "") -> Instance:
    """The original with these flags; `group` as in Instance. Raises MechanismError."""
    path = mechanisms.file_of(flags)
    backend = mechanisms.converted(flags, None if path is None else _text(path))
    if flags.mechanism == "pam" and _has_file(pam_services.OTHER):
        settings = PamSettings(type="pam")
        own = {service for service in settings.services if any(map(_has_file, settings.file_names(service)))}
        backend = pam_services.with_other(backend, own)
    return Instance(flags, backend, group)


def group_of_directory(path: str, usual: str) -> str:
    """The one group to whom a run directory is open, as it is on this machine, or `usual` where it is not there.

    Empty: others can enter it too, or its owner, who is not root.
    """
    try:
        found = os.stat(path)
        if found.st_mode & stat.S_IXOTH or found.st_uid != 0 or not found.st_mode & stat.S_IXGRP:
            return ""
        return grp.getgrgid(found.st_gid).gr_name
    except (OSError, KeyError):
        return usual


def configuration(instances: Sequence[Instance]) -> Mapping[str, Any]:
    """One configuration for all of them. A sasldb is its group's, Debian's `sasl`, and the daemon has no group but its own one."""
    document = site.configuration(instances)
    kinds = {str(one.backend.table["type"]) for one in instances}
    group = _group_of(SASLDB) if "sasldb" in kinds else None
    return {"server": {"group": group}, **document} if group else document


def read(path: str) -> str:
    """The text of a file of the original's, whatever bytes are in it. Raises OSError."""
    with open(path, "rb") as file:
        return file.read(_MAX_SIZE).decode("utf-8", "surrogateescape")


def _has_file(service: str) -> bool:
    from saslauthd_py.monitor.pam_call import DIRECTORIES  # libpam with it, which nothing but -a pam needs

    return any(os.path.isfile(f"{directory}/{service}") for directory in DIRECTORIES)


def _text(path: str) -> str | None:
    try:
        return read(path)
    except OSError:
        return None


def _group_of(path: str) -> str | None:
    """The group that may read the file; None: it is root's, or everybody may, or there is no file."""
    try:
        found = os.stat(path)
        if found.st_gid == 0 or found.st_mode & stat.S_IROTH or not found.st_mode & stat.S_IRGRP:
            return None
        return grp.getgrgid(found.st_gid).gr_name
    except (OSError, KeyError):
        return None
