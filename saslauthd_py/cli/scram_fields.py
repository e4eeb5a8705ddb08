"""What `decode` shows of SCRAM's messages: the fields by their names; a proof or a signature by its length, or itself where asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from saslauthd_py.cli.report import Fields, Json
from saslauthd_py.mechanisms.scram import base64, messages
from saslauthd_py.mechanisms.scram.messages import Malformed, ServerError

_BINDINGS = {"n": "none", "y": "none, though the client could: it believes that the server cannot"}
_SIZES = {20, 32, 48, 64}
"""Bytes of a signature with any hash that SCRAM is used with."""


def recognised(message: bytes) -> bool:
    """Whether a message is one of the four beyond a doubt: what may be a password is not."""
    try:
        kind, fields = decoded(message, proofs=False)
    except Malformed:
        return False
    error, size = fields.get("error"), fields.get("signature_length")
    return kind != "server_final" or error in set(ServerError) or size in _SIZES


def decoded(message: bytes, proofs: bool) -> tuple[str, Fields]:
    """Which message it is, and what is in it, `proofs` too where that is wanted. Raises Malformed."""
    text = message.decode(errors="replace")
    kind, read = next((kind, read) for starts, kind, read in _KINDS if text.startswith(starts))
    return kind, read(message, proofs)


def _client_first(message: bytes, _: bool) -> Fields:
    flag, comma, rest = message.partition(b",")
    binding_type = flag[2:].decode("ascii", "replace") if flag.startswith(b"p=") else ""
    # our server offers no binding and refuses one: without it the message is read all the same
    first = messages.read_client_first(b"n" + comma + rest if binding_type else message)
    binding = binding_type or _BINDINGS[flag.decode()]
    return {"authzid": first.authzid, "authcid": first.authcid, "nonce": first.nonce, "channel_binding": binding}


def _server_first(message: bytes, _: bool) -> Fields:
    first = messages.read_server_first(message)
    return {"nonce": first.nonce, "salt": base64.encode(first.salt), "rounds": first.rounds}


def _client_final(message: bytes, proofs: bool) -> Fields:
    final = messages.read_client_final(message)
    header = base64.decode(final.binding)
    if header is None:
        raise Malformed("SCRAM with a channel binding that is not base64")
    return {"gs2_header": _gs2_header(header), "nonce": final.nonce, **_length("proof", final.proof, proofs)}


def _server_final(message: bytes, proofs: bool) -> Fields:
    answer = messages.read_server_final(message)
    return {"error": answer} if isinstance(answer, str) else _length("signature", answer, proofs)


def _length(name: str, value: bytes, shown: bool) -> dict[str, Json]:
    return {f"{name}_length": len(value), **({name: base64.encode(value)} if shown else {})}


def _gs2_header(said: bytes) -> str:
    """As the client sent it first; behind it may be what a TLS connection is bound by."""
    match said.split(b",", 2):
        case [flag, authzid, binding]:
            shown = (flag + b"," + authzid + b",").decode(errors="backslashreplace")
            return f"{shown} and {len(binding)} bytes of binding" if binding else shown
    raise Malformed("SCRAM with a channel binding that has no GS2 header")


_Read = Callable[[bytes, bool], Fields]
_KINDS: Sequence[tuple[tuple[str, ...], str, _Read]] = (
    (("r=",), "server_first", _server_first),
    (("c=",), "client_final", _client_final),
    (("v=", "e="), "server_final", _server_final),
    (("",), "client_first", _client_first),
)
