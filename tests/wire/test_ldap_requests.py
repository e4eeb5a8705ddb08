"""LDAP requests: the bytes are those that ldap3 makes, and none carries an empty password (rule G4)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.secret import Secret
from saslauthd_py.wire import ldap
from saslauthd_py.wire.ldap import And, Compare, Place, Present
from tests.wire.ldap_peers import by_ldap3, rfc4511

numbers = st.integers(1, ldap.MAX_NUMBER) | st.sampled_from([1, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 0x7FFFFF, 0x800000])
texts = st.text(st.characters(codec="utf-8"), max_size=300).map(str.encode)  # ldap3 has its names as text
octets = st.binary(max_size=300)


def bind_by_ldap3(number: int, name: bytes, choice: str, credentials: Any) -> bytes:
    request = rfc4511.BindRequest()
    request["version"] = rfc4511.Version(3)
    request["name"] = rfc4511.LDAPDN(name)
    request["authentication"] = rfc4511.AuthenticationChoice().setComponentByName(choice, credentials)
    return by_ldap3(number, "bindRequest", request)


@given(numbers, texts.filter(lambda name: name.strip(b" ")), octets.filter(bool))
def test_simple_bind(number: int, name: bytes, secret: bytes) -> None:
    made = ldap.encode(number, ldap.BindRequest(name, Secret(secret)))
    assert made == bind_by_ldap3(number, name, "simple", rfc4511.Simple(secret))


@given(numbers)
def test_anonymous_bind(number: int) -> None:
    assert ldap.encode(number, ldap.AnonymousBind()) == bind_by_ldap3(number, b"", "simple", rfc4511.Simple(b""))


@given(numbers, st.none() | octets)
def test_external_bind(number: int, authzid: bytes | None) -> None:
    sasl = rfc4511.SaslCredentials()
    sasl["mechanism"] = "EXTERNAL"
    if authzid is not None:
        sasl["credentials"] = rfc4511.Credentials(authzid)
    assert ldap.encode(number, ldap.ExternalBind(authzid)) == bind_by_ldap3(number, b"", "sasl", sasl)


@given(
    numbers,
    texts,
    st.sampled_from(ldap.Scope),
    st.lists(st.sampled_from([b"uid", b"1.1", b"*", b"+", b"member;range=0-*"]), max_size=4).map(tuple),
    st.tuples(st.integers(0, ldap.MAX_NUMBER), st.integers(0, ldap.MAX_NUMBER), st.booleans()),
)
def test_search(number: int, base: bytes, scope: ldap.Scope, attributes: tuple[bytes, ...], limits: tuple[int, int, bool]) -> None:
    size, seconds, types_only = limits
    search = ldap.Search(Present(b"objectClass"), scope, attributes, size, seconds, types_only)
    request = rfc4511.SearchRequest()
    request["baseObject"] = rfc4511.LDAPDN(base)
    request["scope"] = rfc4511.Scope(int(scope))
    request["derefAliases"] = rfc4511.DerefAliases("neverDerefAliases")
    request["sizeLimit"] = rfc4511.Integer0ToMax(size)
    request["timeLimit"] = rfc4511.Integer0ToMax(seconds)
    request["typesOnly"] = rfc4511.TypesOnly(types_only)
    request["filter"] = rfc4511.Filter().setComponentByName("present", rfc4511.Present(b"objectClass"))
    request["attributes"] = rfc4511.AttributeSelection()
    for index, attribute in enumerate(attributes):
        request["attributes"][index] = rfc4511.Selector(attribute)
    assert ldap.encode(number, ldap.SearchRequest(search, base)) == by_ldap3(number, "searchRequest", request)


@given(numbers, texts, texts, octets)
def test_compare(number: int, name: bytes, attribute: bytes, value: bytes) -> None:
    request, assertion = rfc4511.CompareRequest(), rfc4511.AttributeValueAssertion()
    assertion["attributeDesc"] = rfc4511.AttributeDescription(attribute)
    assertion["assertionValue"] = rfc4511.AssertionValue(value)
    request["entry"] = rfc4511.LDAPDN(name)
    request["ava"] = assertion
    assert ldap.encode(number, ldap.CompareRequest(name, attribute, value)) == by_ldap3(number, "compareRequest", request)


@given(numbers, numbers)
def test_abandon(number: int, abandoned: int) -> None:
    request = rfc4511.AbandonRequest(abandoned)
    assert ldap.encode(number, ldap.AbandonRequest(abandoned)) == by_ldap3(number, "abandonRequest", request)


@given(numbers)
def test_unbind(number: int) -> None:
    assert ldap.encode(number, ldap.UnbindRequest()) == by_ldap3(number, "unbindRequest", rfc4511.UnbindRequest(""))


@given(numbers, st.sampled_from([ldap.START_TLS, ldap.WHO_AM_I, ldap.ExtendedRequest(b"1.2.3", b""), ldap.ExtendedRequest(b"1.2", b"x")]))
def test_extended(number: int, asked: ldap.ExtendedRequest) -> None:
    request = rfc4511.ExtendedRequest()
    request["requestName"] = rfc4511.RequestName(asked.name)
    if asked.value is not None:
        request["requestValue"] = rfc4511.RequestValue(asked.value)
    assert ldap.encode(number, asked) == by_ldap3(number, "extendedReq", request)


def test_g4_no_bind_is_made_with_an_empty_password() -> None:
    with pytest.raises(ValueError, match="empty password"):
        ldap.BindRequest(b"uid=alice,dc=example,dc=test", Secret(b""))


@pytest.mark.parametrize("name", [b"", b" ", b"   "])
def test_g4_no_bind_is_made_with_a_password_for_nobody(name: bytes) -> None:
    with pytest.raises(ValueError, match="empty name"):
        ldap.BindRequest(name, Secret(b"pw1"))


def test_a_request_shows_no_secret() -> None:
    request = ldap.BindRequest(b"uid=alice,dc=example,dc=test", Secret(b"pw1"))
    assert "pw1" not in repr(request)
    assert "uid=alice" in repr(request)


@given(octets, octets, octets)
def test_g4_values_go_between_the_same_bytes_whatever_they_are(base: bytes, user: bytes, domain: bytes) -> None:
    search = ldap.Search(And((Compare(b"uid", (Place("U"),)), Compare(b"mail", (Place("U"), b"@", Place("d"))))), time_limit=5)
    made = ldap.encode(7, ldap.SearchRequest(search, base, {"U": user, "d": domain}))
    parts = by_ldap3(7, "searchRequest", searched(base, user, user + b"@" + domain))
    assert made == parts


def searched(base: bytes, uid: bytes, mail: bytes) -> Any:
    """ldap3's request, with its filter made from values and not from text."""
    request, both = rfc4511.SearchRequest(), rfc4511.And()
    for index, (attribute, value) in enumerate(((b"uid", uid), (b"mail", mail))):
        match = rfc4511.EqualityMatch()
        match["attributeDesc"] = rfc4511.AttributeDescription(attribute)
        match["assertionValue"] = rfc4511.AssertionValue(value)
        both[index] = rfc4511.Filter().setComponentByName("equalityMatch", match)
    request["baseObject"] = rfc4511.LDAPDN(base)
    request["scope"] = rfc4511.Scope("wholeSubtree")
    request["derefAliases"] = rfc4511.DerefAliases("neverDerefAliases")
    request["sizeLimit"] = rfc4511.Integer0ToMax(0)
    request["timeLimit"] = rfc4511.Integer0ToMax(5)
    request["typesOnly"] = rfc4511.TypesOnly(False)
    request["filter"] = rfc4511.Filter().setComponentByName("and", both)
    request["attributes"] = rfc4511.AttributeSelection()
    request["attributes"][0] = rfc4511.Selector(b"1.1")
    return request


@pytest.mark.parametrize("number", [0, -1, ldap.MAX_NUMBER + 1])
def test_message_ids_are_positive_and_of_31_bits(number: int) -> None:
    with pytest.raises(ValueError, match="no message id"):
        ldap.encode(number, ldap.UnbindRequest())


@pytest.mark.parametrize("limit", [-1, ldap.MAX_NUMBER + 1])
def test_limits_of_a_search_are_of_31_bits(limit: int) -> None:
    with pytest.raises(ValueError, match="limit"):
        ldap.Search(Present(b"uid"), size_limit=limit)
    with pytest.raises(ValueError, match="limit"):
        ldap.Search(Present(b"uid"), time_limit=limit)


def test_searches_of_the_same_kind_are_equal() -> None:
    assert ldap.Search(Present(b"uid")) == ldap.Search(Present(b"uid"))
    assert ldap.Search(Present(b"uid")) != ldap.Search(Present(b"cn"))
    assert len({ldap.Search(Present(b"uid")), ldap.Search(Present(b"uid"))}) == 1


def test_codes_are_said_by_name_and_number() -> None:
    assert ldap.describe(49) == "invalidCredentials (49)"
    assert ldap.describe(ldap.ResultCode.INVALID_DN_SYNTAX) == "invalidDNSyntax (34)"
    assert ldap.describe(4097) == "result code 4097"


def test_codes_have_the_names_that_ldap3_knows() -> None:
    known = {number: name for name, number in rfc4511.ResultCode.namedValues.items()}
    known |= {54: "loopDetect", 71: "affectsMultipleDSAs"}  # ldap3 writes two of them otherwise than the RFC
    codes = [code for code in ldap.ResultCode if code <= ldap.ResultCode.OTHER]
    assert len(codes) == 39
    assert {int(code): code.label for code in codes} == {int(code): known[code] for code in codes}
