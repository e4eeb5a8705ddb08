"""`[backend.NAME]` with `type = "imap"`: a mail server that knows the passwords, asked by a login of IMAP."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, ValidationInfo, field_validator

from saslauthd_py.config.settings.backend import BackendSettings
from saslauthd_py.config.settings.imap_server import ImapServers
from saslauthd_py.config.settings.values import AbsolutePath, Duration, refused


class ImapSettings(BackendSettings):
    """The IMAP backend. `timeout` is seconds. Keys that mean nothing beside others are refused."""

    type: Literal["imap"] = Field(
        description='The kind of backend: "imap", a mail server that a login is tried on, as saslauthd -a rimap did.'
    )
    servers: ImapServers = Field(description='The servers, asked in this order: "imaps://HOST", "imap://HOST:PORT".')
    start_tls: StrictBool = Field(False, description="Begin TLS on the connections to imap:// servers; without it nothing is sent.")
    verify: StrictBool = Field(True, description="Check the servers' certificates and their host names.")
    ca_file: AbsolutePath | None = Field(
        None, description="The certificates (PEM) that the servers' must come from; default: the system's."
    )
    timeout: Annotated[float, Duration("100ms", "60s")] = Field(
        5.0, description="The longest that a login may take at one server, from the connection to the answer."
    )

    # A validator runs where its key is given; the fields above are in `data`, but for those that are wrong.

    @field_validator("start_tls")
    @classmethod
    def _tls_can_begin(cls, begin: bool, above: ValidationInfo) -> bool:
        for server in above.data.get("servers", ()):
            if begin and server.scheme == "imaps":
                raise refused(f'is for imap:// servers: "{server}" has TLS from its first byte')
        return begin

    @field_validator("verify", "ca_file")
    @classmethod
    def _of_tls(cls, value: object, above: ValidationInfo) -> object:
        if above.data.keys() >= {"servers", "start_tls"} and value not in {True, None}:
            if not above.data["start_tls"] and all(server.scheme == "imap" for server in above.data["servers"]):
                raise refused("is for TLS, and no server has it: use imaps:// servers, or start_tls = true")
            if above.field_name == "ca_file" and above.data.get("verify") is False:
                raise refused("would not be looked at: verify is false")
        return value

    @property
    def tls(self) -> bool:
        """Does any connection have TLS?"""
        return self.start_tls or any(server.scheme == "imaps" for server in self.servers)

    def warnings(self) -> tuple[tuple[str, str], ...]:
        """What is allowed and hardly meant: the key, and a line that follows it."""
        in_clear = (server for server in self.servers if server.scheme == "imap" and not self.start_tls and not server.place.local)
        found = [
            ("servers", f'passwords cross the network in clear to "{server}": use imaps://, or start_tls = true') for server in in_clear
        ]
        if not self.verify:
            found.append(("verify", "no certificate is checked: whoever stands between here and the server reads every password"))
        return tuple(found)
