"""LDAP backends, from settings: imported only where there is one, for ldap3's parser takes a good part of a start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from saslauthd_py.app.start import StartError
from saslauthd_py.config.settings import LdapSettings
from saslauthd_py.hashing import Hashing

if TYPE_CHECKING:
    from saslauthd_py.backends.ldap import LdapBackend
    from saslauthd_py.backends.ldap.opening import Manner
    from saslauthd_py.backends.ldap.servers import Servers


class Unusable(Exception):
    """Settings that are right in themselves and cannot be used. `complaints`: a key of the backend each, and a line that follows it."""

    def __init__(self, *complaints: tuple[str, str]) -> None:
        super().__init__("\n".join(f"{key}: {text}" for key, text in complaints))
        self.complaints = complaints


def prepared(settings: LdapSettings) -> Manner:
    """What must be there before anybody is served: templates that can be filled, certificates that can be read. Raises Unusable."""
    from saslauthd_py.backends.ldap.opening import Manner
    from saslauthd_py.backends.ldap.templates import TemplateErrors, Templates

    try:
        Templates.of(settings)
        return Manner.of(settings)
    except TemplateErrors as error:
        raise Unusable(*error.complaints) from None
    except OSError as error:
        raise Unusable(("ca_file", str(error).removeprefix("ca_file "))) from None


def opened(name: str, settings: LdapSettings) -> Manner:
    """As `prepared`, for a start. Raises StartError."""
    try:
        return prepared(settings)
    except Unusable as error:
        raise StartError("\n".join(f"backend.{name}.{key}: {text}" for key, text in error.complaints)) from None


def composed(settings: LdapSettings, manner: Manner, hashing: Hashing, nursery: trio.Nursery) -> tuple[LdapBackend, Servers]:
    """The backend, and its servers, whose connections `nursery` runs."""
    from saslauthd_py.backends.ldap import LdapBackend
    from saslauthd_py.backends.ldap.servers import Servers

    servers = Servers(settings, manner, nursery)
    return LdapBackend(settings, servers, hashing), servers
