"""What the configuration file holds, checked key by key: one frozen model for each section, one for each kind of backend."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import core_schema

from saslauthd_py.config.settings.admission import AdmissionSettings
from saslauthd_py.config.settings.backend import BackendSettings
from saslauthd_py.config.settings.cache import CacheSettings
from saslauthd_py.config.settings.control import ControlSettings
from saslauthd_py.config.settings.failure import FailureSettings
from saslauthd_py.config.settings.getpwent import GetpwentSettings
from saslauthd_py.config.settings.http_form import HttpFormSettings
from saslauthd_py.config.settings.identity import IdentitySettings
from saslauthd_py.config.settings.imap import ImapSettings
from saslauthd_py.config.settings.kerberos import KerberosSettings
from saslauthd_py.config.settings.ldap import LdapSettings
from saslauthd_py.config.settings.listen import Listen, Trust
from saslauthd_py.config.settings.log import LogSettings
from saslauthd_py.config.settings.login import drops_realm
from saslauthd_py.config.settings.metrics import MetricsSettings
from saslauthd_py.config.settings.pam import PamSettings
from saslauthd_py.config.settings.passwd_file import PasswdFileSettings
from saslauthd_py.config.settings.proxy_user import ProxyUser
from saslauthd_py.config.settings.route import Route
from saslauthd_py.config.settings.saslauthd import SaslauthdSettings, decides
from saslauthd_py.config.settings.sasldb import SasldbSettings
from saslauthd_py.config.settings.server import ServerSettings
from saslauthd_py.config.settings.shadow import ShadowSettings
from saslauthd_py.config.settings.store import StoreSettings
from saslauthd_py.config.settings.values import ANY, SECTION, quoted, refused

__all__ = [
    "ANY",
    "BACKENDS",
    "AdmissionSettings",
    "AnyBackend",
    "BackendSettings",
    "CacheSettings",
    "ControlSettings",
    "FailureSettings",
    "GetpwentSettings",
    "HttpFormSettings",
    "IdentitySettings",
    "ImapSettings",
    "KerberosSettings",
    "LdapSettings",
    "Listen",
    "LogSettings",
    "MetricsSettings",
    "PamSettings",
    "PasswdFileSettings",
    "ProxyUser",
    "Route",
    "SaslauthdSettings",
    "SasldbSettings",
    "ServerSettings",
    "Settings",
    "ShadowSettings",
    "StoreSettings",
    "Trust",
    "WorkerSettings",
    "decides",
    "drops_realm",
]

AnyBackend = (
    StoreSettings
    | PasswdFileSettings
    | PamSettings
    | ShadowSettings
    | LdapSettings
    | ImapSettings
    | HttpFormSettings
    | GetpwentSettings
    | SaslauthdSettings
    | KerberosSettings
    | SasldbSettings
)
"""The settings of one backend."""

WorkerSettings = PamSettings | ShadowSettings | GetpwentSettings
"""Of those whose calls are made by the monitor's workers: only root can have them."""

BACKENDS: dict[str, type[BackendSettings]] = {
    "store": StoreSettings,
    "passwd_file": PasswdFileSettings,
    "pam": PamSettings,
    "shadow": ShadowSettings,
    "ldap": LdapSettings,
    "imap": ImapSettings,
    "http_form": HttpFormSettings,
    "getpwent": GetpwentSettings,
    "saslauthd": SaslauthdSettings,
    "kerberos": KerberosSettings,
    "sasldb": SasldbSettings,
}
"""Every kind of backend by its `type`."""

_MAX_NAME = 64


class _ByType:
    """A table of BACKENDS, told apart by `type`. (pydantic's own mark for this refuses a union of one.)"""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.tagged_union_schema({name: handler.generate_schema(kind) for name, kind in BACKENDS.items()}, "type")


def _backend_name(name: str) -> str:
    if not name or len(name) > _MAX_NAME or not all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in name):
        raise refused(f"{quoted(name)}: a backend's name is made of letters, digits, - and _, {_MAX_NAME} at most")
    return name


class Settings(BaseModel):
    """The whole file. What one key says of another (a route of a backend, say) is checked by `config.load`."""

    model_config = ConfigDict(**SECTION, json_schema_extra={"required": ["listen", "backend", "route"]})

    server: ServerSettings = ServerSettings()
    log: LogSettings = LogSettings()
    identity: IdentitySettings = IdentitySettings()
    listen: tuple[Listen, ...] = ()
    backend: dict[Annotated[str, AfterValidator(_backend_name)], Annotated[AnyBackend, _ByType()]] = Field({})
    route: tuple[Route, ...] = ()
    proxy_user: tuple[ProxyUser, ...] = ()
    cache: CacheSettings = CacheSettings()
    failure: FailureSettings = FailureSettings()
    admission: AdmissionSettings = AdmissionSettings()
    control: ControlSettings = ControlSettings()
    metrics: MetricsSettings = MetricsSettings()
