"""The four messages of SCRAM, read and written (RFC 5802 sections 5.1 and 7)."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

from saslauthd_py.mechanisms.scram import base64

MAX_NONCE = 1024
"""Letters of one side's nonce. Clients send 16 to 64; both go out again in every message."""

_NONCE_SIZE = 18

_ATTRIBUTE = re.compile(r"(?P<letter>[A-Za-z])=(?P<value>.+)", re.DOTALL)
_NONCE = re.compile(r"[!-+\--~]+")
_BINDING = re.compile(r"p=[A-Za-z0-9.-]+")
_STRAY = re.compile(r"=(?!2C|3D)")
_ROUNDS = re.compile(r"[1-9][0-9]{0,9}")

_OWN_LETTERS = frozenset("aceimnprsv")
"""Attributes that have a meaning, and so their place; whatever else stands where extensions may is passed over."""


class ServerError(StrEnum):
    """What a server's last message may say in the place of its signature (RFC 5802 section 7), as far as ours does."""

    INVALID_ENCODING = "invalid-encoding"
    EXTENSIONS_NOT_SUPPORTED = "extensions-not-supported"
    INVALID_PROOF = "invalid-proof"
    CHANNEL_BINDINGS_DONT_MATCH = "channel-bindings-dont-match"
    CHANNEL_BINDING_NOT_SUPPORTED = "channel-binding-not-supported"
    INVALID_USERNAME_ENCODING = "invalid-username-encoding"
    OTHER_ERROR = "other-error"


class Malformed(ValueError):
    """A message that is not SCRAM's. Its text says why, and holds nothing of the message; `error` is what a server answers."""

    def __init__(self, why: str, error: ServerError = ServerError.OTHER_ERROR) -> None:
        super().__init__(why)
        self.error = error


@dataclass(frozen=True, slots=True)
class ClientFirst:
    """`gs2_header` and `bare` are as they were sent: both are signed. The names are decoded; an authzid may be empty."""

    gs2_header: str
    bare: str
    authzid: str
    authcid: str
    nonce: str


@dataclass(frozen=True, slots=True)
class ServerFirst:
    """The nonce is the client's with the server's behind it."""

    nonce: str
    salt: bytes
    rounds: int


@dataclass(frozen=True, slots=True)
class ClientFinal:
    """`without_proof` is as it was sent: it is signed. `binding` is still in base64, as it is compared."""

    without_proof: str
    binding: str
    nonce: str
    proof: bytes


def fresh_nonce() -> str:
    """Random, with no comma in it."""
    return base64.encode(secrets.token_bytes(_NONCE_SIZE))


def read_client_first(message: bytes) -> ClientFirst:
    """The client's first message to a server that offers no channel binding. Raises Malformed.

    So `y` is as good as `n`: the client knows it as well as we do. `p=` asks for what is not offered, and MUST fail (section 6).
    """
    parts = _text(message).split(",", 2)
    if len(parts) < 3:
        raise Malformed("SCRAM without a GS2 header")
    flag, authzid, bare = parts
    if _BINDING.fullmatch(flag):
        raise Malformed("SCRAM with channel binding, which is not offered", ServerError.CHANNEL_BINDING_NOT_SUPPORTED)
    if flag not in ("n", "y"):
        raise Malformed("SCRAM with a GS2 header that begins with none of n, y, p=")
    if authzid and not authzid.startswith("a="):
        raise Malformed("SCRAM with something else where its authzid should be")
    match _attributes(bare):
        case [("n", name), ("r", nonce), *extensions]:
            _pass_over(extensions)
            acted = read_name(authzid.removeprefix("a=")) if authzid else ""
            return ClientFirst(f"{flag},{authzid},", bare, acted, read_name(name), _nonce(nonce, MAX_NONCE))
        case [("m", _), *_]:
            raise _extended()
    raise Malformed("SCRAM without a name and a nonce, in this order")


def read_client_final(message: bytes) -> ClientFinal:
    """The client's second message. Raises Malformed."""
    without_proof, separator, encoded = _text(message).rpartition(",p=")
    if not separator:
        raise Malformed("SCRAM without a proof at its end")
    match _attributes(without_proof):
        case [("c", binding), ("r", nonce), *extensions]:
            _pass_over(extensions)
            return ClientFinal(without_proof, binding, _nonce(nonce, 2 * MAX_NONCE), _decoded(encoded, "proof"))
        case [("m", _), *_]:
            raise _extended()
    raise Malformed("SCRAM without a channel binding and a nonce, in this order")


def read_server_first(message: bytes) -> ServerFirst:
    """The server's first message. Raises Malformed."""
    match _attributes(_text(message)):
        case [("r", nonce), ("s", salt), ("i", rounds), *extensions]:
            _pass_over(extensions)
            if not _ROUNDS.fullmatch(rounds):
                raise Malformed("SCRAM with a round count that is no number")
            return ServerFirst(_nonce(nonce, 2 * MAX_NONCE), _decoded(salt, "salt"), int(rounds))
        case [("m", _), *_]:
            raise _extended()
    raise Malformed("SCRAM without a nonce, a salt and a round count, in this order")


def read_server_final(message: bytes) -> bytes | str:
    """The server's second message: its signature, or the error it names, in printable ASCII. Raises Malformed."""
    match _attributes(_text(message)):
        case [("v", verifier), *extensions]:
            _pass_over(extensions)
            return _decoded(verifier, "signature")
        case [("e", error), *_]:
            return "".join(letter if " " <= letter <= "~" else "?" for letter in error)
    raise Malformed("SCRAM without the server's signature")


def write_server_first(first: ServerFirst) -> str:
    """As `read_server_first` reads it."""
    return f"r={first.nonce},s={base64.encode(first.salt)},i={first.rounds}"


def read_name(name: str) -> str:
    """A saslname decoded; raises Malformed for an empty one, and for `=` before anything but 2C or 3D (section 5.1)."""
    if not name or _STRAY.search(name):
        raise Malformed("SCRAM with a name that is empty or wrongly encoded", ServerError.INVALID_USERNAME_ENCODING)
    return name.replace("=2C", ",").replace("=3D", "=")


def write_name(name: str) -> str:
    """As `read_name` reads it."""
    return name.replace("=", "=3D").replace(",", "=2C")


def _text(message: bytes) -> str:
    if b"\0" in message:
        raise Malformed("SCRAM with a NUL in a message", ServerError.INVALID_ENCODING)
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise Malformed("SCRAM with a message that is not UTF-8", ServerError.INVALID_ENCODING) from None


def _attributes(text: str) -> list[tuple[str, str]]:
    found = [_ATTRIBUTE.fullmatch(part) for part in text.split(",")]
    attributes = [(match["letter"], match["value"]) for match in found if match]
    if len(attributes) < len(found):
        raise Malformed("SCRAM with something that is no attribute")
    return attributes


def _pass_over(extensions: list[tuple[str, str]]) -> None:
    letters = {letter for letter, _ in extensions}
    if "m" in letters:
        raise _extended()
    if letters & _OWN_LETTERS:
        raise Malformed("SCRAM with an attribute twice, or out of its place")


def _extended() -> Malformed:
    return Malformed("SCRAM with an extension that must be understood, and is not", ServerError.EXTENSIONS_NOT_SUPPORTED)


def _nonce(nonce: str, longest: int) -> str:
    if len(nonce) > longest or not _NONCE.fullmatch(nonce):
        raise Malformed("SCRAM with a nonce that is too long, or not printable ASCII")
    return nonce


def _decoded(encoded: str, what: str) -> bytes:
    raw = base64.decode(encoded)
    if raw is None:
        raise Malformed(f"SCRAM with a {what} that is not base64", ServerError.INVALID_ENCODING)
    return raw
