"""Kerberos backends, from settings: imported only where there is one, for their library is an extra."""

from __future__ import annotations

from typing import TYPE_CHECKING

from saslauthd_py.app.directories import Unusable
from saslauthd_py.app.start import StartError
from saslauthd_py.config.settings import KerberosSettings

if TYPE_CHECKING:
    from saslauthd_py.backends.kerberos import KerberosBackend
    from saslauthd_py.backends.kerberos.proving import Proving


def prepared(settings: KerberosSettings) -> Proving:
    """What must be there before anybody is served: the library. Raises Unusable."""
    try:
        from saslauthd_py.backends.kerberos.gss import Gss
    except ImportError as error:
        text = (
            f'"kerberos" needs the Python package gssapi ({error}): install saslauthd-py[kerberos], with libkrb5-dev and gcc for its C part'
        )
        raise Unusable(("type", text)) from None
    return Gss(settings)


def opened(name: str, settings: KerberosSettings) -> Proving:
    """As `prepared`, for a start. Raises StartError."""
    try:
        return prepared(settings)
    except Unusable as error:
        raise StartError("\n".join(f"backend.{name}.{key}: {text}" for key, text in error.complaints)) from None


def composed(name: str, settings: KerberosSettings, proving: Proving) -> KerberosBackend:
    """The backend."""
    from saslauthd_py.backends.kerberos import KerberosBackend

    return KerberosBackend(settings, proving, name)


def complaint(settings: KerberosSettings, proving: Proving) -> str:
    """Why every login is an outage, as this process's user finds the keytab: one line that follows its key; empty: nothing is wrong."""
    from saslauthd_py.backends.kerberos import verdicts
    from saslauthd_py.backends.kerberos.proving import NotProved

    try:
        proving.check_keytab()
    except NotProved as failure:
        return verdicts.unproved(settings, failure)
    return ""
