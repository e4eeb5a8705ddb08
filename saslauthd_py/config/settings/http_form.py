"""`[backend.NAME]` with `type = "http_form"`: a site's own form, asked by a POST for each login."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictInt, ValidationInfo, field_validator

from saslauthd_py.config.settings import form_body
from saslauthd_py.config.settings.backend import BackendSettings
from saslauthd_py.config.settings.form_body import BodyError
from saslauthd_py.config.settings.host import HostPort, host_port
from saslauthd_py.config.settings.login import drops_realm
from saslauthd_py.config.settings.secret import SecretKey
from saslauthd_py.config.settings.values import AbsolutePath, Duration, quoted, refused

_PORTS = {"http": 80, "https": 443}
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_OURS = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)
_SECRETS = frozenset({"authorization", "cookie", "proxy-authorization"})
_MAX_TEXT = 4096
_SUCCESS, _CLIENT_ERROR = range(200, 300), range(400, 500)


def _url(url: str) -> str:
    if not url.isascii() or not url.isprintable() or " " in url or len(url) > _MAX_TEXT:
        raise refused(f"{quoted(url)}: other letters must be written as %XX, or a host's name as its xn-- form")
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in _PORTS or not rest:
        raise refused(f"must be a URL such as {quoted('https://auth.example.org/check')}, not {quoted(url)}")
    if "@" in rest.partition("/")[0]:
        raise refused("must not hold a name or password: `authorization` is a key of its own")
    if "#" in url:
        raise refused(f"{quoted(url)}: what stands behind # is never sent")
    host = host_port(url, _authority(url), _PORTS[scheme.lower()]).host
    if "xn--" in host and not _is_a_label(host):
        raise refused(f"{quoted(url)}: {quoted(host)} is not the xn-- form of any name")
    return url


def _is_a_label(host: str) -> bool:
    import idna  # large, and few sites have such a name

    try:
        return bool(idna.decode(host))
    except idna.IDNAError:
        return False


def _authority(url: str) -> str:
    return re.split(r"[/?]", url.partition("://")[2], maxsplit=1)[0]


def _statuses(allowed: range, statuses: tuple[int, ...]) -> tuple[int, ...]:
    for status in statuses:
        if status not in allowed:
            raise refused(f"{status} is none of {allowed.start} to {allowed.stop - 1}")
    if not statuses:
        raise refused("must not be an empty list")
    return statuses


def _accepting(statuses: tuple[int, ...]) -> tuple[int, ...]:
    return _statuses(_SUCCESS, statuses)


def _rejecting(statuses: tuple[int, ...]) -> tuple[int, ...]:
    return _statuses(_CLIENT_ERROR, statuses)


def _header(name: str) -> str:
    if not _HEADER.fullmatch(name) or name.lower() in _OURS:
        raise refused(f"{quoted(name)} is no name of a header that can be set here")
    return name


def _headers(headers: object) -> dict[str, str]:
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise refused('must be a table of strings, such as { X-Site = "mail" }')
    for name, value in headers.items():
        _header(name)
        if name.lower() in _SECRETS:
            raise refused(f"{quoted(name)} is a secret, and this table is not: write authorization_file (and authorization_header)")
        if not _VALUE.fullmatch(value):
            raise refused(f"{quoted(name)} must have a value of printable ASCII, without a blank at its ends")
    return headers


class HttpFormSettings(BackendSettings):
    """The HTTP backend. `timeout` is seconds. A login that `login` has rendered gives the tokens their values."""

    type: Literal["http_form"] = Field(
        description='The kind of backend: "http_form", a page of your own that says by its status who may log in.'
    )
    url: Annotated[str, AfterValidator(_url)] = Field(description="Where each login is sent, as a POST; a redirect is never followed.")
    format: Literal["form", "json"] = Field("form", description='What body is: a "form" (URL-encoded), or "json".')
    body: str = Field(
        description="What is sent: %u login, %U its local part, %r realm, %s service, %p password, each escaped; %% is a percent sign.",
    )
    accept: Annotated[tuple[StrictInt, ...], AfterValidator(_accepting)] = Field(
        (200, 204), description="The statuses that say that the password is right."
    )
    reject: Annotated[tuple[StrictInt, ...], AfterValidator(_rejecting)] = Field(
        (401, 403), description='The statuses that say that it is wrong; any other answer is an outage, "try later".'
    )
    headers: Annotated[dict[str, str], BeforeValidator(_headers)] = Field({}, description="Headers that are sent with each login.")
    authorization: SecretKey = Field(None, description="What shows the page that it is this daemon that asks.")
    authorization_header: Annotated[str, AfterValidator(_header)] = Field(
        "Authorization", description="The header in which authorization is sent."
    )
    verify: StrictBool = Field(True, description="Check the server's certificate and its host name.")
    ca_file: AbsolutePath | None = Field(
        None, description="The certificates (PEM) that the server's must come from; default: the system's."
    )
    timeout: Annotated[float, Duration("100ms", "60s")] = Field(5.0, description="The longest wait for an answer.")

    # A validator runs where its key is given; the fields above are in `data`, but for those that are wrong.

    @field_validator("body")
    @classmethod
    def _tells_name_and_password(cls, body: str, above: ValidationInfo) -> str:
        if "format" not in above.data:
            return body
        if len(body) > _MAX_TEXT:
            raise refused(f"must have {_MAX_TEXT} characters at most")
        try:
            found = form_body.letters(form_body.json_value(body) if above.data["format"] == "json" else form_body.text(body))
        except BodyError as error:
            raise refused(str(error)) from None
        if "p" not in found:
            raise refused(f"{quoted(body)} has no %p: the password would never be sent")
        if not found & {"u", "U"}:
            raise refused(f"{quoted(body)} has no %u and no %U: everybody would be one and the same login")
        return body

    @field_validator("authorization")
    @classmethod
    def _can_be_sent(cls, value: SecretKey) -> SecretKey:
        if value is not None and not _VALUE.fullmatch(value.reveal().decode("latin-1")):
            raise refused("must be one line of printable ASCII, without a blank at its ends")
        return value

    @field_validator("verify", "ca_file")
    @classmethod
    def _of_tls(cls, value: object, above: ValidationInfo) -> object:
        if "url" in above.data and value not in {True, None}:
            if not above.data["url"].lower().startswith("https:"):
                raise refused("is for TLS, and the URL has none: use https://")
            if above.field_name == "ca_file" and above.data.get("verify") is False:
                raise refused("would not be looked at: verify is false")
        return value

    @property
    def tls(self) -> bool:
        """Has the connection TLS?"""
        return self.url.lower().startswith("https:")

    @property
    def place(self) -> HostPort:
        """Where the server is."""
        return host_port(self.url, _authority(self.url), _PORTS[urlsplit(self.url).scheme])

    @property
    def pieces(self) -> form_body.Json:
        """The body, taken apart: a text, or a JSON value of texts."""
        return form_body.json_value(self.body) if self.format == "json" else form_body.text(self.body)

    @property
    def drops_realm(self) -> bool:
        """Do alice@a.example and alice@b.example become one login (rule B2)?"""
        return drops_realm(self.login) or not form_body.letters(self.pieces) & {"u", "r"}

    def warnings(self) -> tuple[tuple[str, str], ...]:
        """What is allowed and hardly meant: the key, and a line that follows it."""
        found = []
        if not self.verify:
            found.append(("verify", "no certificate is checked: whoever stands between here and the server reads every password"))
        if not self.tls and not self.place.local:
            found.append(("url", f"passwords cross the network in clear to {self.place.host}: use https://"))
        return tuple(found)
