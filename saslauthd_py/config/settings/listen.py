"""`[[listen]]`: one socket."""

from __future__ import annotations

import os
from enum import IntEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, StrictBool, ValidationInfo, field_validator
from pydantic_core import core_schema

from saslauthd_py.config.settings.address import TCP, TcpAddress, tcp_address
from saslauthd_py.config.settings.values import SECTION, JsonSchema, Mode, Name, Network, SocketPath, kind, quoted, refused

MechanismName = Literal["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN", "EXTERNAL"]
"""The mechanisms that a listener can offer, as `mechanisms.table` has them."""

IN_CLEAR = (
    "passwords come to it over the network in clear, for neither Postfix nor Exim speaks TLS there: "
    "keep that network private, or listen at a path"
)
"""What is said of a listener that is `exposed` (rule H2)."""

DOVECOT = "dovecot"


class Trust(IntEnum):
    """What a client says of its own clients is believed up to here; in this order."""

    NONE = 0
    ADDRESS = 1
    TLS = 2
    CERTIFICATE = 3


class _AddressMark:
    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _address, serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="json")
        )

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"type": "string", "pattern": f"^{TCP}$"}


def _address(value: object) -> TcpAddress:
    if not isinstance(value, str):
        raise refused(f'must be an address and a port in quotes, such as "127.0.0.1:12345", not {kind(value)}')
    address = tcp_address(value)
    if address is None:
        raise refused(
            f'must be an address and a port, such as "127.0.0.1:12345" or "[::1]:12345", not {quoted(value)}: '
            "no names, and a port from 1 to 65535"
        )
    if address.mapped:
        raise refused(f"{quoted(value)} is an IPv4 address: write it as one")
    if address.host.version == 6 and address.host.is_link_local:
        raise refused(f"{quoted(value)} is of one link only, and which one cannot be said here: choose another address")
    return address


class Listen(BaseModel):
    """A socket and who may use it. `user` and `group` None: the listener's default, see their descriptions.

    It has either a path or an address, and no key that means nothing for it.
    """

    model_config = ConfigDict(**SECTION, json_schema_extra={"oneOf": [{"required": ["path"]}, {"required": ["address"]}]})

    protocol: Literal["saslauthd", "pwcheck", "dovecot"] = Field(
        description='What is spoken: "dovecot", as Postfix and Exim do by themselves, '
        '"saslauthd", as libsasl\'s programs do, or "pwcheck", as very old ones do.'
    )
    address: Annotated[TcpAddress, _AddressMark()] | None = Field(
        None, description='In the place of path, for "dovecot": a TCP address such as "127.0.0.1:12345".'
    )
    path: SocketPath | None = Field(
        None,
        validate_default=True,
        description="The socket, absolute, 107 bytes at most; a chrooted mail server needs one inside its chroot.",
    )
    networks: tuple[Network, ...] = Field(
        (), validate_default=True, description="Who may ask at a TCP address; empty: this machine alone, and the address is a loopback one."
    )
    user: Name | None = Field(None, description="The socket's owner; default: the daemon's user.")
    group: Name | None = Field(
        None, description='The socket\'s group; default: the first of "sasl", "saslauth" that exists, else the daemon\'s.'
    )
    mode: Annotated[int, Mode()] = Field(0o660, description="The socket's permissions: whoever may write to it may ask.")
    allow_users: tuple[Name, ...] = Field((), description="Users whose processes may ask; empty: all that can open the socket.")
    trust: Literal["none", "address", "tls", "certificate"] | None = Field(
        None, description='What a client may say of its own clients; default: "tls" where the mode shuts others out, else "none".'
    )
    on_unavailable: Literal["close", "fail"] = Field(
        "close",
        description='For "dovecot", how an outage is told: "close" the connection (Postfix, Exim: "try later"), '
        'or "fail" with code=temp_fail.',
    )
    require_tls: StrictBool = Field(
        False, description='For "dovecot": refuse PLAIN and LOGIN of clients without TLS; the mail server must be trusted to say so.'
    )
    mechanisms: tuple[MechanismName, ...] | None = Field(
        None,
        description='For "dovecot": the SASL mechanisms that are offered; default: PLAIN and LOGIN, and SCRAM once everybody can use it.',
    )

    # The fields above a validator's own are in `data`, but for those that are wrong in themselves.

    @field_validator("address")
    @classmethod
    def _of_tcp(cls, address: TcpAddress | None, above: ValidationInfo) -> TcpAddress | None:
        protocol = above.data.get("protocol", DOVECOT)
        if protocol != DOVECOT:
            raise refused(f'is for "dovecot": clients of "{protocol}" ask at a path')
        return address

    @field_validator("path")
    @classmethod
    def _one_place(cls, path: str | None, above: ValidationInfo) -> str | None:
        if "address" not in above.data:
            return path
        address = above.data["address"]
        if path is None and address is None:
            more = ', and there is no address in its place, such as "127.0.0.1:12345"'
            raise refused(f"is missing{more}" if above.data.get("protocol") == DOVECOT else "is missing; it has no default")
        if path is not None and address is not None:
            raise refused(f'a listener has either a path or an address, and this one has address = "{address}" too: write two [[listen]]')
        return path

    @field_validator("networks")
    @classmethod
    def _who_may_ask(cls, networks: tuple[Network, ...], above: ValidationInfo) -> tuple[Network, ...]:
        if "address" not in above.data:
            return networks
        address = above.data["address"]
        if address is None and networks:
            raise refused("is for an address: who may ask at a path is said by mode and allow_users")
        if address is not None and not address.loopback and not networks:
            raise refused(
                f'is missing: "{address}" can be reached from other machines; name those that may ask, such as ["192.0.2.25/32"], '
                "or listen on 127.0.0.1, [::1] or at a path"
            )
        return networks

    @field_validator("user", "group", "mode", "allow_users")
    @classmethod
    def _of_a_path(cls, value: object, above: ValidationInfo) -> object:
        if above.data.get("address") is not None:
            raise refused("is for a path: who may ask at an address is said by networks")
        return value

    @field_validator("on_unavailable", "require_tls", "mechanisms")
    @classmethod
    def _of_dovecot(cls, value: object, above: ValidationInfo) -> object:
        protocol = above.data.get("protocol", DOVECOT)
        if protocol != DOVECOT:
            raise refused(f'is for "dovecot": "{protocol}" has no such thing')
        return value

    @field_validator("require_tls")
    @classmethod
    def _tls_is_believed(cls, required: bool, above: ValidationInfo) -> bool:
        if required and _whole(above.data) and _trusted(above.data) < Trust.TLS:
            given = above.data["trust"]
            found = f'trust is "{given}"' if given is not None else 'trust is "none" by default at an address, or where mode lets others in'
            raise refused(f'would refuse every PLAIN and LOGIN: {found}, so no client\'s TLS is believed; add trust = "tls" if it can be')
        return required

    @field_validator("mechanisms")
    @classmethod
    def _mechanisms(cls, names: tuple[str, ...] | None, above: ValidationInfo) -> tuple[str, ...] | None:
        if names is None:
            return names
        if not names:
            raise refused("must not be empty: leave it out to have what can be offered")
        for name in names:
            if names.count(name) > 1:
                raise refused(f"names {quoted(name)} twice")
        if "EXTERNAL" in names and _whole(above.data):
            _certificates_are_believed(above.data)
        return names

    @property
    def name(self) -> str:
        """What routes, log and commands call it: its path or its address."""
        return str(self.address) if self.path is None else self.path

    @property
    def key(self) -> str:
        """Two tables mean one listener where this is equal: the path, however it is spelt, or the address."""
        return self.name if self.path is None else "/" + os.path.normpath(self.path).lstrip("/")

    @property
    def exposed(self) -> bool:
        """Can other machines reach it?"""
        return self.address is not None and not self.address.loopback

    @property
    def trusted_up_to(self) -> Trust:
        """`trust` as given; by default "tls" on a socket that gives others no access, else "none"."""
        return _trusted({"trust": self.trust, "path": self.path, "mode": self.mode})

    @property
    def trusts_addresses(self) -> bool:
        """May a client say where its own client comes from (rule D10)?"""
        return self.trusted_up_to >= Trust.ADDRESS


def _trusted(keys: dict[str, Any]) -> Trust:
    if keys["trust"] is not None:
        return Trust[keys["trust"].upper()]
    return Trust.NONE if keys["path"] is None or keys["mode"] & 0o007 else Trust.TLS


def _whole(keys: dict[str, Any]) -> bool:
    """Is all that says who is trusted right in itself?"""
    return keys.keys() >= {"address", "path", "mode", "allow_users", "trust"}


def _certificates_are_believed(keys: dict[str, Any]) -> None:
    """Rule D10: no password is asked for, so the mail server must be known, and its word be taken for it."""
    if keys["address"] is not None:
        raise refused('"EXTERNAL" needs a path, where allow_users says whose word is taken: over TCP nobody knows who asks')
    if _trusted(keys) < Trust.CERTIFICATE or not keys["allow_users"]:
        raise refused(
            '"EXTERNAL" lets in whoever has shown a certificate, on the mail server\'s word alone: '
            'it needs trust = "certificate" and allow_users, the mail server\'s own user'
        )
