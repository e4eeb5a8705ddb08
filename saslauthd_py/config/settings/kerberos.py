"""`[backend.NAME]` with `type = "kerberos"`: a ticket is asked for with the password, and proved by a key of this machine's own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictInt, ValidationInfo, field_validator

from saslauthd_py.config.settings.backend import BackendSettings
from saslauthd_py.config.settings.login import LoginTemplate, drops_realm
from saslauthd_py.config.settings.values import AbsolutePath, Duration, Service, kind, quoted, refused
from saslauthd_py.credential import service_word

_MAX_NAME = 255


def _plain(name: str, separators: str) -> str:
    if not name or not name.isprintable() or len(name) > _MAX_NAME or any(letter in name for letter in (*separators, " ", '"')):
        raise refused(f"must be a name in Kerberos, without {' '.join(separators)} quotes and spaces, not {quoted(name)}")
    return name


def _part(name: str) -> str:
    return _plain(name, "\\@/")


def _each_service_once(table: object) -> object:
    if not isinstance(table, dict):
        raise refused(f'must be a table such as {{ imap = "mail" }}, not {kind(table)}')
    words = [service_word(name) for name in table if isinstance(name, str)]
    for word in words:
        if words.count(word) > 1:
            raise refused(f"names {quoted(word)} twice (pop and pop3 are one)")
    return table


def _verify_principal(name: str) -> str:
    return _plain(name, "\\")


class KerberosSettings(BackendSettings):
    """The Kerberos backend. `timeout` is seconds."""

    type: Literal["kerberos"] = Field(description="The kind of backend: \"kerberos\", a KDC such as MIT's, Heimdal's or Active Directory.")
    login: LoginTemplate = Field(
        "{local}", description="The principal that is asked for, without what realm and service_instance add to it."
    )
    fold_case: StrictBool = Field(False, description="Alice and alice are one account.")
    parallel: StrictInt = Field(
        32, ge=1, le=256, description="Logins that may be under way here at once, each in a thread; the others wait."
    )
    realm: Annotated[str, AfterValidator(_part)] | None = Field(
        None, description="The Kerberos realm of all users; default: the login's, in capitals, and without one that of /etc/krb5.conf."
    )
    keytab: AbsolutePath = Field(
        "/etc/saslauthd-py/krb5.keytab", description="The keys that prove the KDC, readable for the daemon's user."
    )
    verify_principal: Annotated[str, AfterValidator(_verify_principal)] = Field(
        "host", description='Whose key in keytab proves it: "host/mail.example.org", or the service alone on this machine\'s own name.'
    )
    service_instance: Annotated[dict[Service, Annotated[str, AfterValidator(_part)]], BeforeValidator(_each_service_once)] = Field(
        {}, description='Principals of their own for a service: with { imap = "mail" } alice logs in there as alice/mail.'
    )
    timeout: Annotated[float, Duration("100ms", "60s")] = Field(5.0, description="The longest wait for the KDC.")

    @field_validator("realm")
    @classmethod
    def _one_realm(cls, realm: str | None, above: ValidationInfo) -> str | None:
        login = above.data.get("login", "")
        if realm is not None and login and not drops_realm(login):
            raise refused(f"would put everybody into one realm, and login = {quoted(login)} each into his own: leave one of the two out")
        return realm
