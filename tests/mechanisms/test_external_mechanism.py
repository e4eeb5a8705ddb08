"""RFC 4422 appendix A: EXTERNAL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.mechanisms import external
from saslauthd_py.mechanisms.exchange import Challenge, Failed, NeedCertificate, Proved


@pytest.mark.parametrize("authzid", ["", "info@example.org", "jürgen"])
def test_who_has_a_certificate_is_the_one_in_it(authzid: str) -> None:
    step = external.begin(authzid.encode())
    assert isinstance(step, NeedCertificate)
    assert step == NeedCertificate(authzid, step.resolve)
    assert step.resolve("tim@example.org") == Proved(authzid, "tim@example.org")


def test_without_an_initial_response_the_authzid_is_asked_for() -> None:
    step = external.begin(None)
    assert isinstance(step, Challenge)
    assert step.message == b""
    asked = step.receive(b"")
    assert isinstance(asked, NeedCertificate)
    assert asked.authzid == ""


@pytest.mark.parametrize("name", [None, ""])
def test_d10_without_a_name_from_a_certificate_nobody_is_let_in(name: str | None) -> None:
    step = external.begin(b"tim@example.org")
    assert isinstance(step, NeedCertificate)
    assert step.resolve(name) == Failed("EXTERNAL without a client certificate that a trusted listener has checked")


@pytest.mark.parametrize(("message", "why"), [(b"tim\0", "NUL"), (b"\xff", "not UTF-8")])
def test_a_bad_authzid_fails(message: bytes, why: str) -> None:
    step = external.begin(message)
    assert isinstance(step, Failed)
    assert why in step.why


@given(st.binary())
def test_any_bytes_are_an_authzid_or_fail_and_prove_nothing(message: bytes) -> None:
    step = external.begin(message)
    assert isinstance(step, Failed) or (isinstance(step, NeedCertificate) and step.authzid.encode() == message)
