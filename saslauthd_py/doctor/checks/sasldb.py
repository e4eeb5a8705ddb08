"""13: a sasldb2 that somebody reads: its kind, who may read it, and the passwords in clear text in it."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator

from saslauthd_py import sasldb
from saslauthd_py.config.settings import SasldbSettings, ServerSettings
from saslauthd_py.doctor import reading_only
from saslauthd_py.doctor.case import Case
from saslauthd_py.doctor.said import Said, failed, passed, warned
from saslauthd_py.mta import forked
from saslauthd_py.mta.forked import Json
from saslauthd_py.mta.processes import group_name
from saslauthd_py.privileges import Ids
from saslauthd_py.sasldb import SasldbError

DEFAULT = "/etc/sasldb2"
_SECONDS = 6.0


def find(case: Case) -> Iterator[Said]:
    """A line for each file that is read and should not be as it is."""
    ours = {
        backend.path: name
        for name, backend in (case.settings.backend.items() if case.settings else ())
        if isinstance(backend, SasldbSettings)
    }
    faults, seen = 0, []
    for path in (*ours, *([DEFAULT] if _read_by_libsasl(case) and DEFAULT not in ours else [])):
        for said in _file(case, path, ours.get(path)):
            if said.mend:
                faults += 1
                yield said
            else:
                seen.append(said.cause)
    if not faults:
        yield passed("; ".join(seen) or "nobody reads a sasldb2")


def _read_by_libsasl(case: Case) -> bool:
    files = (case.machine.sasl, case.machine.cyrus_imap.sasl if case.machine.cyrus_imap is not None else None)
    return any(
        "auxprop" in one.methods and "sasldb" in one.options.get("auxprop_plugin", "sasldb")
        for one in files
        if one is not None and one.path
    )


def _file(case: Case, path: str, backend: str | None) -> Iterator[Said]:
    whose = f"backend {backend}" if backend is not None else "libsasl"
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        yield failed(
            f"{whose}: {path}: {(error.strerror or str(error)).lower()}",
            f"saslpasswd2 -c NAME makes {path}, or import its users into a store",
        )
        return
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        yield failed(f"{path} holds passwords in clear text, and every user of this machine may read it", f"chmod o= {path}")
    if backend is None:
        return
    try:
        told = forked.ask(lambda: _counted(path, case.daemon()), _SECONDS)
    except (forked.Hung, forked.Lost) as error:
        told = f"{path}: {error}"
    match told:
        case [str(kind), int(users), int(clear)]:
            if clear:
                mend = f"saslauthd-py import sasldb {path} hashes them into a store"
                yield warned(f"{whose}: {path} ({kind}) holds {clear} passwords of {users} users in clear text", mend)
            yield passed(f"{path}: {kind}, {users} users")
        case _:
            yield failed(f"{whose}: {told}", _opened(case, path))


def _opened(case: Case, path: str) -> str:
    """What lets the daemon read it, and takes it from nobody who may."""
    server = case.settings.server if case.settings is not None else ServerSettings()
    found = os.stat(path)
    if not found.st_mode & stat.S_IRGRP or found.st_gid == 0:
        return f"chgrp {server.group} {shlex.quote(path)} && chmod g+r {shlex.quote(path)}, or name another file"
    theirs = group_name(found.st_gid)
    return f'usermod -aG {theirs} {server.user} (where root starts `serve`: [server] group = "{theirs}"), then {case.restart()}'


def _counted(path: str, ids: Ids | None) -> Json:
    """As the daemon's user reads it."""
    reading_only.become(ids)
    try:
        with open(path, "rb") as file:
            kind = sasldb.kind(file.read(64))
        entries = sasldb.read(path).entries
    except SasldbError as error:
        return str(error)
    except OSError as error:
        return f"{path}: {(error.strerror or str(error)).lower()}"
    return [kind or "", len({(one.authid, one.realm) for one in entries}), sum(one.property == sasldb.PASSWORD for one in entries)]
