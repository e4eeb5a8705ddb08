"""What is looked at, in the order in which it bites: the one explicit table. A further check is its file and its line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from saslauthd_py.doctor.case import Case
from saslauthd_py.doctor.checks import (
    accounts,
    addresses,
    capacity,
    daemon,
    denials,
    directories,
    letters,
    login,
    mechanisms,
    names,
    pam,
    path,
    realm,
    remembered,
    rights,
    sasldb,
    secrets,
    versions,
)
from saslauthd_py.doctor.said import Said


@dataclass(frozen=True, slots=True)
class Check:
    """One check: `find` says a line at least, and the first that is not a pass names what is to be mended first."""

    name: str
    find: Callable[[Case], Iterator[Said]]


CHECKS = (
    Check("path", path.find),
    Check("daemon", daemon.find),
    Check("rights", rights.find),
    Check("realm", realm.find),
    Check("mechanisms", mechanisms.find),
    Check("accounts", accounts.find),
    Check("pam", pam.find),
    Check("directories", directories.find),
    Check("login", login.find),
    Check("capacity", capacity.find),
    Check("addresses", addresses.find),
    Check("cache", remembered.find),
    Check("sasldb", sasldb.find),
    Check("denials", denials.find),
    Check("letters", letters.find),
    Check("names", names.find),
    Check("secrets", secrets.find),
    Check("versions", versions.find),
)
