"""Certificates that vouch for themselves: each is its own authority."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

from tests.interop.waiting import PATIENCE

ADDRESS = "127.0.0.1"
UNNAMED = "127.0.0.2"
"""An address that no certificate has."""


def key_of(certificate: Path) -> Path:
    """Where its private key is."""
    return certificate.with_suffix(".key")


def self_signed(certificate: Path) -> Path:
    """For ADDRESS and localhost, and its key beside it. Needs openssl."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-keyout", str(key_of(certificate))]
    names = ["-subj", f"/CN={certificate.stem}", "-addext", f"subjectAltName=IP:{ADDRESS},DNS:localhost"]
    command = ["openssl", "req", "-x509", *key, *names, "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    certificate.chmod(0o644)
    return certificate


def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key_of(certificate))
    return context
