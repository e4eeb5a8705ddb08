"""Whom a server must prove to be: its certificate, checked by the system's authorities or by a site's own."""

from __future__ import annotations

import ssl


def client_context(ca_file: str | None, *, verify: bool) -> ssl.SSLContext:
    """TLS 1.2 or newer; certificate and host name are checked unless `verify` is false.

    Reads the certificates; OSError for a file that cannot be used: its text is one line, without the file's name.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # an ssl.SSLError too
        why = "it holds no certificate in PEM" if isinstance(error, ssl.SSLError) else (error.strerror or "cannot be read").lower()
        raise OSError(why) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
