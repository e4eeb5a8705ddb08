"""`saslauthd_conf` of an LDAP backend: what the original's file says goes beneath what the configuration says itself."""

from __future__ import annotations

import os
import stat
from typing import Any

from saslauthd_py.config.legacy.saslauthd_conf import SaslauthdConf, SaslauthdConfError, read
from saslauthd_py.config.load.findings import Finding
from saslauthd_py.config.settings.secret import OTHERS, ConfiguredSecret
from saslauthd_py.config.settings.values import quoted

KEY = "saslauthd_conf"
_MAX_SIZE = 1 << 20


def completed(document: dict[str, Any]) -> tuple[dict[str, Any], list[Finding], list[Finding]]:
    """The document with the keys of every such file, what is wrong with a file, and what the original was silent about."""
    backends = document.get("backend")
    if not isinstance(backends, dict):
        return document, [], []
    whole, errors, notes = dict(backends), list[Finding](), list[Finding]()
    for name, table in backends.items():
        if isinstance(table, dict) and table.get("type") == "ldap" and isinstance(table.get(KEY), str):
            path = ("backend", name, KEY)
            found = _read(table[KEY])
            if isinstance(found, SaslauthdConf):
                whole[name] = {**_table(found, table[KEY]), **table}
                notes += [Finding(path, f"{table[KEY]}: {note}") for note in found.notes]
            else:
                errors += [Finding(path, fault) for fault in found]
    return {**document, "backend": whole}, errors, notes


def _table(found: SaslauthdConf, file: str) -> dict[str, Any]:
    table = {"type": "ldap", **found.keys}
    if found.password is not None:
        table["password"] = ConfiguredSecret(found.password.reveal(), file)
    return table


def _read(path: str) -> SaslauthdConf | list[str]:
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                return [f"{quoted(path)} is no regular file"]
            text = file.read(_MAX_SIZE).decode("utf-8", "surrogateescape")
    except OSError as error:
        return [f"{quoted(path)} cannot be read: {(error.strerror or str(error)).lower()}; the daemon's group must be able to (chmod 640)"]
    try:
        found = read(text)
    except SaslauthdConfError as error:
        return [f"{path}: {fault}" for fault in error.faults]
    if found.password is not None and mode & OTHERS:
        return [f"{quoted(path)} holds a password and is open to every user of this machine: chmod o= it, and change the password"]
    return found
