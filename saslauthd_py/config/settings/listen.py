"""`[[listen]]`: one socket."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from saslauthd_py.config.settings.values import SECTION, Mode, Name, SocketPath


class Trust(IntEnum):
    """What a client says of its own clients is believed up to here; in this order."""

    NONE = 0
    ADDRESS = 1
    TLS = 2
    CERTIFICATE = 3


class Listen(BaseModel):
    """A socket and who may use it. `user` and `group` None: the listener's default, see their descriptions."""

    model_config = SECTION

    protocol: Literal["saslauthd", "pwcheck"] = Field(
        description='What is spoken: "saslauthd", as libsasl\'s programs do, or "pwcheck", as very old ones do.'
    )
    path: SocketPath = Field(description="The socket, absolute, 107 bytes at most; a chrooted mail server needs one inside its chroot.")
    user: Name | None = Field(None, description="The socket's owner; default: the daemon's user.")
    group: Name | None = Field(
        None, description='The socket\'s group; default: the first of "sasl", "saslauth" that exists, else the daemon\'s.'
    )
    mode: Annotated[int, Mode()] = Field(0o660, description="The socket's permissions: whoever may write to it may ask.")
    allow_users: tuple[Name, ...] = Field((), description="Users whose processes may ask; empty: all that can open the socket.")
    trust: Literal["none", "address", "tls", "certificate"] | None = Field(
        None, description='What a client may say of its own clients; default: "tls" where the mode shuts others out, else "none".'
    )

    @property
    def trusted_up_to(self) -> Trust:
        """`trust` as given; by default "tls" on a socket that gives others no access, else "none"."""
        if self.trust is not None:
            return Trust[self.trust.upper()]
        return Trust.NONE if self.mode & 0o007 else Trust.TLS

    @property
    def trusts_addresses(self) -> bool:
        """May a client say where its own client comes from (rule D10)?"""
        return self.trusted_up_to >= Trust.ADDRESS
