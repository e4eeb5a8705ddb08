"""LDAP backends, from settings: imported only where there is one, for ldap3's parser takes a good part of a start."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import trio

from saslauthd_py.app.start import StartError
from saslauthd_py.config.settings import LdapSettings
from saslauthd_py.hashing import Hashing

if TYPE_CHECKING:
    from saslauthd_py.backends.ldap import LdapBackend
    from saslauthd_py.backends.ldap.opening import Manner
    from saslauthd_py.backends.ldap.servers import Servers


def opened(name: str, settings: LdapSettings) -> Manner:
    """What must be there before anybody is served: templates that can be filled, certificates that can be read. Raises StartError."""
    from saslauthd_py.backends.ldap.opening import Manner
    from saslauthd_py.backends.ldap.templates import TemplateErrors, Templates

    try:
        Templates.of(settings)
        return Manner.of(settings)
    except TemplateErrors as error:
        raise StartError("\n".join(f"backend.{name}.{key}: {text}" for key, text in error.complaints)) from None
    except ssl.SSLError as error:
        raise StartError(f"backend.{name}.ca_file: {settings.ca_file}: no certificates in it: {error.reason or error}") from None
    except OSError as error:
        raise StartError(f"backend.{name}.ca_file: {settings.ca_file}: {error.strerror}") from None


def composed(settings: LdapSettings, manner: Manner, hashing: Hashing, nursery: trio.Nursery) -> tuple[LdapBackend, Servers]:
    """The backend, and its servers, whose connections `nursery` runs."""
    from saslauthd_py.backends.ldap import LdapBackend
    from saslauthd_py.backends.ldap.servers import Servers

    servers = Servers(settings, manner, nursery)
    return LdapBackend(settings, servers, hashing), servers
