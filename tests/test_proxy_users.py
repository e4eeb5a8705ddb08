"""Who may act as whom, by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py import identity
from saslauthd_py.identity import Identity
from saslauthd_py.proxy_users import ProxyUsers, same
from tests.desks import grant

MASTER = Identity("master", "example.test")
NOBODY = ProxyUsers()


def users(authcid: str = "master@example.test", *may_act_as: str, default_realm: str = "") -> ProxyUsers:
    return ProxyUsers([grant(authcid, *(may_act_as or ["*@example.test"]))], default_realm)


def name(text: str) -> Identity:
    return identity.split(text)


@pytest.mark.parametrize(
    ("granted", "authzid", "may"),
    [
        (("bob@example.test",), "bob@example.test", True),
        (("bob@example.test",), "bob@EXAMPLE.test", True),
        (("bob@example.test",), "Bob@example.test", False),
        (("bob@example.test",), "bob", False),
        (("bob@example.test",), "bob@other.test", False),
        (("Bob@example.test",), "Bob@example.test", True),
        (("Bob@example.test",), "bob@example.test", False),
        (("bob",), "bob", True),
        (("bob",), "bob@example.test", False),
        (("cafe\u0301@example.test",), "caf\u00e9@example.test", True),
        (("*@example.test",), "anybody@Example.TEST", True),
        (("*@example.test",), "anybody@sub.example.test", False),
        (("*@example.test",), "anybody@example.test.other", False),
        (("*@example.test",), "anybody", False),
        (("*@b\u00fccher.test",), "x@xn--bcher-kva.test", True),
        (("carol@other.test", "*@example.test"), "carol@other.test", True),
        (("*@example.test",), "x@no domain \u2260", False),
    ],
)
def test_whom_a_grant_covers(granted: tuple[str, ...], authzid: str, may: bool) -> None:
    grants = users("master@example.test", *granted)
    assert grants.may([MASTER], name(authzid)) is may
    assert grants.could(MASTER, name(authzid)) is may


@pytest.mark.parametrize(
    ("asked", "confirmed", "may"),
    [
        ("master@example.test", "master@example.test", True),
        ("master@EXAMPLE.test", "master@EXAMPLE.test", True),
        ("Master@example.test", "master@example.test", True),
        ("Master@example.test", "Master@example.test", False),
        ("master@example.test", "Master@example.test", True),
        ("mallory@example.test", "mallory@example.test", False),
        ("master", "master", False),
        ("master@no domain \u2260", "master@no domain \u2260", False),
    ],
)
def test_grant_is_of_a_name_as_it_is_spelled_when_asked_or_by_the_backend(asked: str, confirmed: str, may: bool) -> None:
    assert users().may([name(asked), name(confirmed)], name("bob@example.test")) is may


@pytest.mark.parametrize(
    ("asked", "could"),
    [("master@example.test", True), ("MASTER@example.test", True), ("\uff4daster@example.test", True), ("master", False), ("bob", False)],
)
def test_d9_before_the_proof_a_grant_is_possible_for_every_spelling_that_folds_to_its_name(asked: str, could: bool) -> None:
    assert users().could(name(asked), name("bob@example.test")) is could
    assert not users().could(name(asked), name("bob@other.test"))


def test_nobody_needs_a_grant_to_be_itself() -> None:
    assert NOBODY.may([MASTER], None)
    assert NOBODY.could(MASTER, None)
    assert NOBODY.may([MASTER], name("master@EXAMPLE.test"))
    assert NOBODY.may([name("MASTER@example.test"), MASTER], MASTER)
    assert not NOBODY.may([name("MASTER@example.test")], MASTER)
    assert NOBODY.could(name("MASTER@example.test"), MASTER)
    assert not NOBODY.could(MASTER, name("bob@example.test"))


def test_names_without_a_realm_have_the_default_one_as_those_of_clients() -> None:
    grants = users("master", "bob", default_realm="example.test")
    assert grants.may([MASTER], Identity("bob", "example.test"))
    assert not grants.may([Identity("master")], Identity("bob"))


def test_grants_of_different_tables_do_not_mix() -> None:
    grants = ProxyUsers([grant("a@x.test", "one@x.test"), grant("b@x.test", "two@x.test")])
    assert grants.may([name("a@x.test")], name("one@x.test"))
    assert not grants.may([name("a@x.test")], name("two@x.test"))


@given(st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8), st.sampled_from(["bob@example.test", "eve@example.test"]))
def test_whatever_may_be_after_the_proof_could_be_before_it(local: str, authzid: str) -> None:
    asked = Identity(local, "example.test")
    for confirmed in (asked, Identity(local.casefold(), "example.test"), Identity("master", "example.test")):
        if identity.account(confirmed) == identity.account(asked):
            grants = users("master@example.test", "bob@example.test")
            assert grants.could(asked, name(authzid)) or not grants.may([asked, confirmed], name(authzid))


def test_same_is_strict() -> None:
    assert same(Identity("a", "X.test"), Identity("a", "x.test"))
    assert not same(Identity("A", "x.test"), Identity("a", "x.test"))
    broken = Identity("a", "no domain \u2260")
    assert not same(broken, broken)
