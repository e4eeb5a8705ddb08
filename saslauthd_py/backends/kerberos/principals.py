"""A login as a principal: RFC 4120 section 6.2, in the text form of MIT's and Heimdal's libraries (krb5_parse_name)."""

from __future__ import annotations

import re

from saslauthd_py.config.settings import KerberosSettings
from saslauthd_py.credential import service_word
from saslauthd_py.identity import Identity

_SPECIAL = re.compile(r"[\\@]")
_SPECIAL_IN_REALM = re.compile(r"[\\@/]")


class NoPrincipal(Exception):
    """A login that may have none here."""


def principal(login: Identity, settings: KerberosSettings, service: str) -> str:
    """The principal's text. A `/` in a login begins its instance, as saslauthd has it; nothing in it can name another realm.

    Raises NoPrincipal: a login with an instance of its own, for a service that has one for all.
    """
    name = _SPECIAL.sub(_escaped, login.local)
    instance = settings.service_instance.get(service_word(service))
    if instance is not None:
        if "/" in name:
            raise NoPrincipal
        name = f"{name}/{instance}"
    realm = settings.realm or login.realm.upper()
    return f"{name}@{_SPECIAL_IN_REALM.sub(_escaped, realm)}" if realm else name


def _escaped(special: re.Match[str]) -> str:
    return f"\\{special[0]}"
