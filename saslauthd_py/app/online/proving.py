"""A Kerberos backend's keytab and KDC, tried as a login does, with the keytab's own key in the place of somebody's password."""

from __future__ import annotations

from collections.abc import Iterator

from saslauthd_py.app.online.findings import Said, failed, passed, unreachable, warned
from saslauthd_py.backends.kerberos import verdicts
from saslauthd_py.backends.kerberos.proving import NotProved, Proving
from saslauthd_py.backends.kerberos.verdicts import Code
from saslauthd_py.config.settings import KerberosSettings

_DOWN = frozenset({Code.KRB5_KDC_UNREACH, Code.KDC_ERR_SVC_UNAVAILABLE})
_NO_USER = frozenset({Code.KDC_ERR_C_PRINCIPAL_UNKNOWN, Code.KDC_ERR_CLIENT_REVOKED, Code.KDC_ERR_POLICY})


def proved(settings: KerberosSettings, proving: Proving) -> Iterator[Said]:
    """The keytab, then the KDC."""
    try:
        proving.check_keytab()
    except NotProved as failure:
        yield failed("keytab", verdicts.unproved(settings, failure))
        return
    yield passed("keytab", f"{settings.keytab} has a key of {settings.verify_principal}")
    try:
        proving.check_kdc()
    except NotProved as failure:
        if failure.code in _NO_USER:  # Active Directory's, of a service's name
            yield warned(
                "kdc", f"answers, and gives {settings.verify_principal} no ticket without a password: the key is not tried ({failure})"
            )
        elif failure.code in _DOWN:
            yield unreachable("kdc", verdicts.told(failure))
        else:
            yield failed("kdc", verdicts.told(failure))
        return
    yield passed("kdc", "gives tickets that the key in keytab proves")
