"""`[backend.NAME]` with `type = "pam"`: the machine's own stack, asked by the monitor's workers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool

from saslauthd_py.config.settings.backend import BackendSettings
from saslauthd_py.config.settings.login import LoginTemplate
from saslauthd_py.config.settings.values import Name, Service, quoted, refused
from saslauthd_py.config.settings.workers import MinUid, Recycle, Workers, default_workers

SERVICE = "{service}"
"""In `pam_service`: the service that the client names."""

_FILE_NAME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-.")
_MAX_FILE_NAME = 64


def is_file_name(name: str) -> bool:
    """May this be the name of a file in /etc/pam.d? pam_start(3) lower-cases it and takes what follows the last slash."""
    return 0 < len(name) <= _MAX_FILE_NAME and not name.startswith(".") and _FILE_NAME_LETTERS.issuperset(name)


def _pam_service(template: str) -> str:
    if not is_file_name(template.replace(SERVICE, "x")):
        raise refused(f"must be the name of a file in /etc/pam.d, such as {quoted('smtp')}, or {quoted(SERVICE)}, not {quoted(template)}")
    return template


class PamSettings(BackendSettings):
    """The PAM backend. Its calls run as root, one at a time in each worker, so it needs a daemon that root started."""

    type: Literal["pam"] = Field(description='The kind of backend: "pam", the stack in /etc/pam.d.')
    login: LoginTemplate = Field("{local}", description="The user name that PAM is given.")
    fold_case: StrictBool = Field(False, description="Alice and alice are one account.")
    pam_service: Annotated[str, AfterValidator(_pam_service)] = Field(
        SERVICE, description='The file in /etc/pam.d that is used; "{service}" is the service that the mail server names.'
    )
    services: tuple[Service, ...] = Field(
        ("smtp", "imap", "pop", "sieve", "ldap"), description='The services this backend may be asked for; "pop" and "pop3" are one.'
    )
    workers: Workers = Field(default_factory=lambda: 2 * default_workers(), description="Processes that make PAM calls; default: 2 a core.")
    serial: StrictBool = Field(False, description="One call at a time on the whole machine, for modules that can bear no more.")
    min_uid: MinUid = Field(1000, description="Users below this id, those of the system, are refused.")
    deny: tuple[Name, ...] = Field(("root",), description="Users that are refused by name.")
    recycle_after: Recycle = Field(1000, description="Calls after which a worker makes room for a new one.")

    def file_names(self, service: str) -> tuple[str, ...]:
        """The files in /etc/pam.d for a service as `credential.service_word` spells it; the first that is there counts.

        None: its name can be no file's.
        """
        words = ("pop", "pop3") if service == "pop" else (service,)
        names = dict.fromkeys(self.pam_service.replace(SERVICE, word) for word in words)
        return tuple(name for name in names if is_file_name(name))

    @property
    def files_by_service(self) -> bool:
        """Does the client's word choose the file in /etc/pam.d?"""
        return SERVICE in self.pam_service

    @property
    def processes(self) -> int:
        """How many workers there are."""
        return 1 if self.serial else self.workers
