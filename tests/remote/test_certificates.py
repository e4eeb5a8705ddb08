"""Whom a client's TLS believes."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from saslauthd_py.remote.certificates import client_context


def test_certificate_and_host_are_checked_and_old_tls_is_none() -> None:
    context = client_context(None, verify=True)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION


def test_nothing_is_checked_where_the_admin_says_so() -> None:
    context = client_context(None, verify=False)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


def test_file_without_a_certificate_is_told_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    with pytest.raises(OSError, match=r"^no such file or directory$"):
        client_context(str(file), verify=True)
    file.write_text("nothing")
    with pytest.raises(OSError, match=r"^it holds no certificate in PEM$"):
        client_context(str(file), verify=True)
