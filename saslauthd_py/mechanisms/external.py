"""The EXTERNAL mechanism (RFC 4422 appendix A): the client is who its TLS certificate says; its one message is the authzid, or empty."""

from __future__ import annotations

from functools import partial

from saslauthd_py.mechanisms.exchange import Challenge, Failed, NeedCertificate, Proved, Step


def begin(initial: bytes | None) -> Step:
    """As `exchange.Begin`. An empty initial response is a whole message: the client acts as itself."""
    return Challenge(b"", _asked) if initial is None else _asked(initial)


def _asked(message: bytes) -> Step:
    if b"\0" in message:
        return Failed("EXTERNAL with a NUL in its authzid")
    try:
        authzid = message.decode()
    except UnicodeDecodeError:
        return Failed("EXTERNAL with an authzid that is not UTF-8")
    return NeedCertificate(authzid, partial(_shown, authzid))


def _shown(authzid: str, name: str | None) -> Step:
    return Proved(authzid, name) if name else Failed("EXTERNAL without a client certificate that a trusted listener has checked")
