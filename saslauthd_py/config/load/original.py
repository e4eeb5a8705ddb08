"""`saslauthd_conf` of an LDAP backend: what the original's file says goes beneath what the configuration says itself."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from saslauthd_py.config.legacy.saslauthd_conf import SaslauthdConf, SaslauthdConfError, read
from saslauthd_py.config.load.findings import Finding
from saslauthd_py.config.settings.secret import FILE, OTHERS, ConfiguredSecret
from saslauthd_py.config.settings.values import quoted

KEY = "saslauthd_conf"
_PASSWORD = "password"  # noqa: S105 - the name of a key
_DEFAULT_REALM = "ldap_default_realm"
_MAX_SIZE = 1 << 20


class Unreadable(Exception):
    """A file that cannot be taken over. `faults` has a line for each reason; so has the text. An OSError may be its cause."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def completed(document: dict[str, Any]) -> tuple[dict[str, Any], list[Finding], list[Finding]]:
    """The document with the keys of every such file, what is wrong with a file, and what the original was silent about."""
    backends = document.get("backend")
    if not isinstance(backends, dict):
        return document, [], []
    whole, errors, notes = dict(backends), list[Finding](), list[Finding]()
    for name, table in backends.items():
        if isinstance(table, dict) and table.get("type") == "ldap" and isinstance(table.get(KEY), str):
            path, file = ("backend", name, KEY), table[KEY]
            try:
                found = taken_over(file, secretly=True)
            except Unreadable as error:
                errors += [Finding(path, fault) for fault in error.faults]
                continue
            whole[name] = _beneath(table, found)
            notes += [Finding(path, note) for note in _news(found, file, document.get("identity"))]
    return {**document, "backend": whole}, errors, notes


def taken_over(path: str, *, secretly: bool, whole_logins: bool = False) -> SaslauthdConf:
    """What the file says. `secretly`: one with a password is refused where it is open to others (rule A8). Raises Unreadable."""
    try:
        text, mode = _read(path)
    except OSError as error:
        advice = "; the daemon's group must be able to (chgrp saslauthd-py, chmod 640)" if isinstance(error, PermissionError) else ""
        why = f"{quoted(path)} cannot be read: {(error.strerror or str(error)).lower()}{advice}"
        raise Unreadable(why) from error
    try:
        found = read(text, whole_logins=whole_logins)
    except SaslauthdConfError as error:
        raise Unreadable(*(f"{path}:{fault}" if fault.line else f"{path}: {fault}" for fault in error.faults)) from None
    keys = {**found.keys, "default_realm": found.default_realm}
    if wrong := [key for key, value in keys.items() if not _is_utf8(value)]:
        raise Unreadable(*(f"{path}: what is to be {key} here is not UTF-8: save the file as UTF-8" for key in wrong))
    if secretly and found.password is not None and mode & OTHERS:
        why = "holds a password and is open to every user of this machine: chmod o= it, and change the password"
        raise Unreadable(f"{quoted(path)} {why}")
    return found


def attributed(findings: Sequence[Finding], document: Mapping[str, Any], errors: Iterable[Finding]) -> list[Finding]:
    """What is wrong with a key that only such a file can have brought is told of the file, or not at all where the file is in `errors`.

    `document` is the one without their keys.
    """
    unread = {error.path for error in errors}
    told = (_attributed(finding, document) for finding in findings)
    return [after for before, after in zip(findings, told, strict=True) if after is before or after.path not in unread]


def without_taken(table: Mapping[str, Any]) -> dict[str, Any]:
    """A backend's table as it may be shown: a password that came out of the original's file has no key of its own."""
    taken = table.get(KEY) is not None and table.get(_PASSWORD + FILE) == table[KEY]
    return {key: value for key, value in table.items() if not (taken and key == _PASSWORD + FILE)}


def _attributed(finding: Finding, document: Mapping[str, Any]) -> Finding:
    match finding.path:
        case ("backend", str(name), str(key), *_) if key != KEY:
            table = document["backend"][name]
            if isinstance(table, dict) and isinstance(table.get(KEY), str) and key not in table:
                return Finding(("backend", name, KEY), f"{table[KEY]}: makes {key}, which {finding.text}")
    return finding


def _beneath(table: dict[str, Any], found: SaslauthdConf) -> dict[str, Any]:
    whole = {"type": "ldap", **found.keys, **table}
    if found.password is not None and not {_PASSWORD, _PASSWORD + FILE} & table.keys():
        whole[_PASSWORD] = ConfiguredSecret(found.password.reveal(), table[KEY])
    return whole


def _news(found: SaslauthdConf, file: str, identity: object) -> list[str]:
    """The notes, but for one of a realm that the configuration names too."""
    told = isinstance(identity, dict) and identity.get("default_realm") == found.default_realm
    notes = [note for note in found.notes if not (told and note.key == _DEFAULT_REALM)]
    return [f"{file}:{note}" if note.line else f"{file}: {note}" for note in notes]


def _read(path: str) -> tuple[str, int]:
    """Text and mode, both of the descriptor that is read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise Unreadable(f"{quoted(path)} is no regular file")
        written = file.read(_MAX_SIZE + 1)
    if len(written) > _MAX_SIZE:
        raise Unreadable(f"{quoted(path)} has over {_MAX_SIZE} bytes: that is no configuration")
    return written.decode("utf-8", "surrogateescape"), mode


def _is_utf8(value: object) -> bool:
    texts = value if isinstance(value, list) else [value]
    try:
        "".join(map(str, texts)).encode()
    except UnicodeEncodeError:
        return False
    return True
