"""6: the stores: that the daemon can read them, what they hold in place of hashes, and the test account in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from saslauthd_py import identity, passwords
from saslauthd_py.config.settings import AnyBackend, PamSettings, PasswdFileSettings, Settings, ShadowSettings, StoreSettings
from saslauthd_py.doctor import password_files, store_look
from saslauthd_py.doctor.case import Case
from saslauthd_py.doctor.lookups import look_up
from saslauthd_py.doctor.said import Said, failed, passed, skipped, warned
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.monitor import accounts
from saslauthd_py.mta import forked
from saslauthd_py.passwords import BrokenRecord

_RUN = re.compile(r"; run(?: once)?(?:, as root)?: ")

_LOCAL = (StoreSettings, PasswdFileSettings, ShadowSettings)
"""Kinds of which it is told here whether they have an account."""


def find(case: Case) -> Iterator[Said]:
    """A line for each fault of a backend, then of the account, then what is well."""
    if case.settings is None:
        yield skipped("the configuration cannot be used", case.command("config check"))
        return
    looking = _Looking(case, case.settings)
    faults = 0
    for said in looking.all():
        faults += 1
        yield said
    if not faults:
        yield passed("; ".join(looking.seen) or "no backend keeps accounts in a file")


class _Looking:
    """One look at all backends. `seen` is what was found well; `known` the backends that have the account."""

    def __init__(self, case: Case, settings: Settings) -> None:
        self.seen: list[str] = []
        self._case = case
        self._settings = settings
        self._known: set[str] = set()
        self._asked = _asked(case, settings)

    def all(self) -> Iterator[Said]:
        for name, backend in self._settings.backend.items():
            try:
                yield from self._backend(name, backend)
            except (forked.Hung, forked.Lost) as error:
                yield failed(f"backend {name} cannot be looked at: {error}", "look for a dead file system below its path")
        yield from self._unknown()

    def _backend(self, name: str, backend: AnyBackend) -> Iterator[Said]:
        login = self._asked.get(name)
        match backend:
            case StoreSettings():
                yield from self._store(name, backend, login)
            case PasswdFileSettings() if not backend.realm_in_path or login is not None:
                yield from self._file(name, backend, login)
            case ShadowSettings() | PamSettings() if login is not None:
                yield from self._shadow(name, backend, login)

    def _store(self, name: str, backend: StoreSettings, login: Identity | None) -> Iterator[Said]:
        if why := store_look.fault(backend.path):
            cause, mend = _halves(why)
            yield failed(f"backend {name}: {cause}", mend or self._case.command("serve --check"))
            return
        try:
            found = store_look.look(backend.path, identity.key(login, backend.fold_case) if login is not None else None)
        except store_look.Unlooked as error:
            yield failed(f"backend {name}: {error}", self._case.command("serve --check"))
            return
        if found.clear:
            cause = f"backend {name} keeps {found.clear} of {found.secrets} passwords in clear text"
            yield warned(cause, self._case.command("user passwd NAME") + " for each of them")
        if found.hindrance:
            unlock = "user unlock" if "locked" in found.hindrance else "user passwd"
            yield failed(
                f"backend {name}: {login} cannot log in: {found.hindrance}", self._case.command(f"{unlock} {shlex.quote(str(login))}")
            )
        if found.known:
            self._known.add(name)
        self.seen.append(f"{name}: {found.secrets} passwords, most {found.profile or 'none'}")

    def _file(self, name: str, backend: PasswdFileSettings, login: Identity | None) -> Iterator[Said]:
        path = backend.path.replace("{realm}", login.realm if login is not None else "")
        try:
            found = password_files.look(path, self._case.daemon(), login)
        except password_files.Unlooked as error:
            yield failed(f"backend {name}: as user {self._settings.server.user}: {error}", _readable(self._settings, path))
            return
        for line, why in found.faults:
            cause = f"backend {name}: {path}:{line}: clear text, or no hash: {why}"
            yield failed(cause, "put there what `saslauthd-py hash` prints")
        if found.locked:
            yield failed(f"backend {name}: {path}: {login} is locked there", "take the mark before its hash away")
        if found.known:
            self._known.add(name)
        self.seen.append(f"{name}: {found.accounts} accounts, each with a hash")

    def _shadow(self, name: str, backend: AnyBackend, login: Identity) -> Iterator[Said]:
        user = str(login)
        try:
            entry = accounts.find_shadow(user.encode())
        except OSError as error:
            yield skipped(f"backend {name}: the shadow entries cannot be read: {error.strerror}", "run the doctor as root")
            return
        if entry is None:
            return
        self._known.add(name)
        password = entry.password.decode("ascii", "surrogateescape")
        if password.startswith(("!", "*")):
            judge = failed if isinstance(backend, ShadowSettings) else warned  # PAM may ask other modules than pam_unix
            yield judge(f"backend {name}: {user} is locked in /etc/shadow", f"passwd -u {shlex.quote(user)}")
        elif not _is_hash(password):
            cause = f"backend {name}: /etc/shadow has clear text, or no hash, for {user} (useradd -p wants a hash)"
            yield failed(cause, f"passwd {shlex.quote(user)}")
        else:
            self.seen.append(f"{name}: {user} has a hash")

    def _unknown(self) -> Iterator[Said]:
        """Only where every backend that would be asked was looked at."""
        asked = {name: self._settings.backend[name] for name in self._asked}
        if asked and all(isinstance(backend, _LOCAL) for backend in asked.values()) and self._known.isdisjoint(asked):
            where = ", ".join(f"{login} in {name}" for name, login in self._asked.items())
            yield failed(f"no such account: looked for {where}", self._case.command("user list"))


def _asked(case: Case, settings: Settings) -> dict[str, Identity]:
    """The login that each backend of the test account's route is asked for."""
    if case.account is None:
        return {}
    caller = case.targets[0].caller if case.targets else None
    try:
        found = look_up(settings, case.account.name, caller, case.listener(caller) if caller is not None else None)
    except InvalidIdentity:
        return {}
    return {name: login for name, _, login in found.logins}


def _halves(complaint: str) -> tuple[str, str]:
    """What the store says is wrong, and the command in it, where it names one."""
    found = _RUN.search(complaint)
    return (complaint[: found.start()], complaint[found.end() :]) if found is not None else (complaint, "")


def _readable(settings: Settings, path: str) -> str:
    return f"chgrp {settings.server.group} {shlex.quote(path)} && chmod 640 {shlex.quote(path)}"


def _is_hash(text: str) -> bool:
    try:
        passwords.cost(passwords.recognise("{CRYPT}" + text if not text.startswith("$") else text))
    except BrokenRecord:
        return False
    return True
