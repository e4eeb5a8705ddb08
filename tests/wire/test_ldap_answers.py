"""LDAP answers: those that ldap3 makes are read back, padded lengths as well; what is no answer is a fault (rules G3, D8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.wire import ldap
from saslauthd_py.wire.ldap import ber
from tests.wire.ldap_peers import by_ldap3, one, padded, plain, read, rfc4511

numbers = st.integers(1, ldap.MAX_NUMBER)
texts = st.text(st.characters(codec="utf-8"), max_size=200).map(str.encode)
octets = st.binary(max_size=200)
codes = st.sampled_from(ldap.ResultCode).map(int).filter(lambda code: code <= ldap.ResultCode.OTHER)
uris = st.lists(texts, min_size=1, max_size=3).map(tuple)
results = st.fixed_dictionaries({"code": codes, "matched_dn": texts, "diagnostic": texts, "referral": st.just(()) | uris})


def with_result(message: Any, result: dict[str, Any]) -> Any:
    """ldap3's message with the components of LDAPResult."""
    message["resultCode"] = rfc4511.ResultCode(result["code"])
    message["matchedDN"] = rfc4511.LDAPDN(result["matched_dn"])
    message["diagnosticMessage"] = rfc4511.LDAPString(result["diagnostic"])
    if result["referral"]:
        referral = rfc4511.Referral()
        for index, uri in enumerate(result["referral"]):
            referral[index] = rfc4511.URI(uri)
        message["referral"] = referral
    return message


@given(numbers, results, st.none() | octets)
def test_bind_response(number: int, result: dict[str, Any], sasl: bytes | None) -> None:
    message = with_result(rfc4511.BindResponse(), result)
    if sasl is not None:
        message["serverSaslCreds"] = rfc4511.ServerSaslCreds(sasl)
    data = by_ldap3(number, "bindResponse", message)
    assert one(data) == ldap.Message(number, ldap.BindResponse(**result, sasl=sasl), len(data))


@pytest.mark.parametrize(
    ("operation", "message", "answer"),
    [
        ("searchResDone", rfc4511.SearchResultDone, ldap.SearchResultDone),
        ("compareResponse", rfc4511.CompareResponse, ldap.CompareResponse),
    ],
)
@given(number=numbers, result=results)
def test_results(number: int, result: dict[str, Any], operation: str, message: Any, answer: Callable[..., ldap.Answer]) -> None:
    data = by_ldap3(number, operation, with_result(message(), result))
    assert one(data) == ldap.Message(number, answer(**result), len(data))


@given(numbers, results, st.just(b"") | st.just(b"1.3.6.1.4.1.1466.20037"), st.none() | octets)
def test_extended_response(number: int, result: dict[str, Any], name: bytes, value: bytes | None) -> None:
    message = with_result(rfc4511.ExtendedResponse(), result)
    if name:
        message["responseName"] = rfc4511.ResponseName(name)
    if value is not None:
        message["responseValue"] = rfc4511.ResponseValue(value)
    assert one(by_ldap3(number, "extendedResp", message)).answer == ldap.ExtendedResponse(**result, name=name, value=value)


attributes = st.lists(st.tuples(texts, st.lists(octets, max_size=4).map(tuple)), max_size=4).map(tuple)


@given(numbers, texts, attributes)
def test_search_result_entry(number: int, name: bytes, attributes: tuple[tuple[bytes, tuple[bytes, ...]], ...]) -> None:
    message = rfc4511.SearchResultEntry()
    message["object"] = rfc4511.LDAPDN(name)
    message["attributes"] = rfc4511.PartialAttributeList()
    for index, (description, values) in enumerate(attributes):
        attribute = rfc4511.PartialAttribute()
        attribute["type"] = rfc4511.AttributeDescription(description)
        attribute["vals"] = rfc4511.Vals()
        for place, value in enumerate(values):
            attribute["vals"][place] = rfc4511.AttributeValue(value)
        message["attributes"][index] = attribute
    data = by_ldap3(number, "searchResEntry", message)
    answer = one(data).answer
    assert isinstance(answer, ldap.SearchResultEntry)
    assert answer.name == name
    # ldap3 sorts a SET, as DER does: the order of values says nothing
    assert [(description, sorted(values)) for description, values in answer.attributes] == [(d, sorted(v)) for d, v in attributes]


@given(numbers, uris)
def test_search_result_reference(number: int, uris: tuple[bytes, ...]) -> None:
    message = rfc4511.SearchResultReference()
    for index, uri in enumerate(uris):
        message[index] = rfc4511.URI(uri)
    assert one(by_ldap3(number, "searchResRef", message)).answer == ldap.SearchResultReference(uris)


@given(numbers, st.just(b"") | st.just(b"1.3.6.1.4.1.4203.1.9.1.4"), st.none() | octets)
def test_intermediate_response(number: int, name: bytes, value: bytes | None) -> None:
    message = rfc4511.IntermediateResponse()
    if name:
        message["responseName"] = rfc4511.IntermediateResponseName(name)
    if value is not None:
        message["responseValue"] = rfc4511.IntermediateResponseValue(value)
    assert one(by_ldap3(number, "intermediateResponse", message)).answer == ldap.IntermediateResponse(name, value)


def test_values_of_an_attribute_are_found_in_any_case_and_spelling_of_the_server() -> None:
    entry = ldap.SearchResultEntry(b"uid=alice", ((b"userPassword", (b"a", b"b")), (b"mail", (b"m",)), (b"USERPASSWORD", (b"c",))))
    assert entry.values(b"userpassword") == (b"a", b"b", b"c")
    assert entry.values(b"MAIL") == (b"m",)
    assert entry.values(b"cn") == ()


def test_an_entry_and_a_sasl_message_do_not_show_what_may_be_a_password() -> None:
    entry = ldap.SearchResultEntry(b"uid=alice", ((b"userPassword", (b"{SSHA}abcd",)),))
    assert "SSHA" not in repr(entry)
    assert "uid=alice" in repr(entry)
    assert "proof" not in repr(ldap.BindResponse(0, sasl=b"proof"))


NUMBER = b"\x02\x01\x07"
SUCCESS = b"\x0a\x01\x00\x04\x00\x04\x00"
BOUND = ldap.BindResponse(0)
ERROR_52E = b"80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 52e, v1db1\0"


def test_active_directorys_padded_lengths_are_read() -> None:
    refused = plain(0x0A, b"\x31") + plain(4, b"") + plain(4, ERROR_52E)
    assert one(padded(0x30, b"\x02\x04\0\0\0\x07", padded(0x61, refused))).answer == ldap.BindResponse(49, diagnostic=ERROR_52E)
    entry = plain(4, b"CN=alice") + padded(0x30, padded(0x30, plain(4, b"mail"), padded(0x31, plain(4, b"a@example.test"))))
    assert one(padded(0x30, NUMBER, padded(0x64, entry))).answer == ldap.SearchResultEntry(b"CN=alice", ((b"mail", (b"a@example.test",)),))
    assert one(padded(0x30, NUMBER, padded(0x73, padded(4, b"ldap://x/")))).answer == ldap.SearchResultReference((b"ldap://x/",))


def test_active_directorys_notice_has_its_name_behind_the_operation() -> None:
    text = b"00000057: LdapErr: DSID-0C0C0095, comment: Error decoding ldap message, data 0, v4563\0"
    operation = padded(0x78, plain(0x0A, b"\x02"), plain(4, b""), plain(4, text))
    notice = ldap.ExtendedResponse(2, diagnostic=text, name=ldap.NOTICE_OF_DISCONNECTION)
    assert one(padded(0x30, b"\x02\x01\x00", operation, plain(0x8A, ldap.NOTICE_OF_DISCONNECTION))).answer == notice
    inside = padded(0x78, plain(0x0A, b"\x02"), plain(4, b""), plain(4, text), plain(0x8A, b"1.2.3"))
    both = one(padded(0x30, b"\x02\x01\x00", inside, plain(0x8A, ldap.NOTICE_OF_DISCONNECTION))).answer
    assert both == ldap.ExtendedResponse(2, diagnostic=text, name=b"1.2.3")


def test_a_notification_without_a_name_is_one_all_the_same() -> None:
    assert one(plain(0x30, b"\x02\x01\x00" + plain(0x78, SUCCESS))) == (0, ldap.ExtendedResponse(0), 14)


@pytest.mark.parametrize("critical", [b"", b"\x01\x01\xff", b"\x01\x01\x00"])
def test_controls_are_passed_over_whatever_their_criticality(critical: bytes) -> None:
    control = plain(0x30, plain(4, b"1.3.6.1.4.1.42.2.27.8.5.1") + critical + plain(4, b"0\0"))
    assert one(plain(0x30, NUMBER + plain(0x61, SUCCESS) + plain(0xA0, control + control))).answer == BOUND


def test_elements_at_a_sequences_end_that_are_not_known_are_ignored() -> None:
    more = plain(0x9E, b"?") + plain(0x9E, b"?")
    assert one(plain(0x30, NUMBER + plain(0x61, SUCCESS + more) + more)).answer == BOUND
    entry = plain(4, b"cn=x") + plain(0x30, plain(0x30, plain(4, b"cn") + plain(0x31, plain(4, b"x")) + more)) + more
    assert one(plain(0x30, NUMBER + plain(0x64, entry))).answer == ldap.SearchResultEntry(b"cn=x", ((b"cn", (b"x",)),))


def test_of_an_element_that_comes_twice_the_first_counts() -> None:
    assert one(bind(SUCCESS + plain(0x87, b"a") + plain(0x87, b"b"))).answer == ldap.BindResponse(0, sasl=b"a")


@pytest.mark.parametrize("size", [0, 1, 40, 121, 122, 123, 124, 125, 127, 128, 300])
@pytest.mark.parametrize("behind", [b"", padded(0xA0), b"\x30\x00"])
def test_an_entry_without_attributes_is_its_name_however_long(size: int, behind: bytes) -> None:
    name = bytes(size)
    long = padded(0x64, padded(4, name), padded(0x30))
    assert one(padded(0x30, NUMBER, long, behind)).answer == ldap.SearchResultEntry(name)
    short = ber.element(0x64, ber.element(4, name) + plain(0x30, b""))
    assert one(ber.element(0x30, NUMBER + short + behind)).answer == ldap.SearchResultEntry(name)


@pytest.mark.parametrize(
    "operation",
    [
        plain(0x64, plain(4, b"cn=x") + plain(0x30, plain(0x30, plain(4, b"cn") + plain(0x31, b"")) + plain(0x30, b""))),
        plain(0x64, b"\x04\x07cn=x\x30\x00"),
        plain(0x64, plain(4, b"cn=x\x30\x00")),
        plain(0x64, plain(4, b"cn=x") + b"\x31\x00"),
        plain(0x64, plain(0x24, b"cn=x") + b"\x30\x00"),
        b"\x64\x09" + plain(4, b"cn=x") + b"\x30\x00",
    ],
)
def test_what_only_ends_like_an_entry_without_attributes_is_a_fault(operation: bytes) -> None:
    (fault,) = read(plain(0x30, NUMBER + operation))
    assert isinstance(fault, ldap.Fault)


def test_codes_beyond_the_rfcs_are_numbers() -> None:
    assert one(plain(0x30, NUMBER + plain(0x61, b"\x0a\x02\x10\x01\x04\x00\x04\x00"))).answer == ldap.BindResponse(4097)
    assert one(plain(0x30, NUMBER + plain(0x61, b"\x0a\x04\x00\x00\x00\x31\x04\x00\x04\x00"))).answer == ldap.BindResponse(49)


def bind(result: bytes) -> bytes:
    """A bind response with this contents."""
    return plain(0x30, NUMBER + plain(0x61, result))


CUT_OFF, TOO_LONG = "an element that is cut off", "an element that is longer than the one that holds it"
NEGATIVE = "a number that is negative, empty or over 2147483647"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x30\x00", CUT_OFF),
        (b"\x30\x03" + NUMBER, CUT_OFF),
        (plain(0x30, b"\x04\x01\x07" + plain(0x61, SUCCESS)), "tag 0x04 where 0x02 belongs"),
        (plain(0x30, b"\x02\x01\xff" + plain(0x61, SUCCESS)), NEGATIVE),
        (plain(0x30, b"\x02\x00" + plain(0x61, SUCCESS)), NEGATIVE),
        (plain(0x30, b"\x02\x05\0\0\0\0\x07" + plain(0x61, SUCCESS)), NEGATIVE),
        (plain(0x30, b"\x02\x04\x80\0\0\0" + plain(0x61, SUCCESS)), NEGATIVE),
        (plain(0x30, b"\x02\x01\x00" + plain(0x61, SUCCESS)), "an answer with message id 0, which only a notification has"),
        (plain(0x30, NUMBER + plain(0x60, SUCCESS)), "an operation with tag 0x60, which is no answer to a login's requests"),
        (plain(0x30, NUMBER + plain(0x6B, SUCCESS)), "an operation with tag 0x6b, which is no answer to a login's requests"),
        (plain(0x30, NUMBER + plain(0x41, SUCCESS)), "an operation with tag 0x41, which is no answer to a login's requests"),
        (plain(0x30, NUMBER + b"\x7f\x61\x00"), "a tag of more than one octet, which LDAP does not have"),
        (plain(0x30, NUMBER + b"\x61\x7f" + SUCCESS), TOO_LONG),
        (plain(0x30, NUMBER + b"\x61\x80" + SUCCESS + b"\0\0"), "an indefinite length, which LDAP does not allow"),
        (plain(0x30, NUMBER + b"\x61\x85\0\0\0\0\x07" + SUCCESS), "a length of more than four octets"),
        (plain(0x30, NUMBER + b"\x61\xff" + SUCCESS), "a length of more than four octets"),
        (plain(0x30, NUMBER + b"\x61\x84\0\0"), CUT_OFF),
        (plain(0x30, NUMBER + b"\x61\x84\xff\xff\xff\xff" + SUCCESS), TOO_LONG),
        (bind(b""), CUT_OFF),
        (bind(b"\x0a"), CUT_OFF),
        (bind(b"\x0a\x01\x00"), CUT_OFF),
        (bind(b"\x0a\x01\x00\x04\x00"), CUT_OFF),
        (bind(b"\x02\x01\x00\x04\x00\x04\x00"), "tag 0x02 where 0x0a belongs"),
        (bind(b"\x0a\x01\x80\x04\x00\x04\x00"), NEGATIVE),
        (bind(b"\x0a\x01\x00\x24\x02\x04\x00\x04\x00"), "tag 0x24 where 0x04 belongs"),
        (bind(b"\x0a\x01\x00\x04\x7f\x04\x00"), TOO_LONG),
        (bind(SUCCESS + b"\x87\x05x"), TOO_LONG),
        (bind(SUCCESS + plain(0xA3, b"\x02\x01\x00")), "tag 0x02 where 0x04 belongs"),
        (plain(0x30, NUMBER + plain(0x61, SUCCESS) + b"\xa0\x05"), TOO_LONG),
        (plain(0x30, NUMBER + plain(0x64, plain(4, b"cn=x"))), CUT_OFF),
        (plain(0x30, NUMBER + plain(0x64, plain(4, b"cn=x") + plain(0x30, plain(0x30, plain(4, b"cn"))))), CUT_OFF),
        (
            plain(0x30, NUMBER + plain(0x64, plain(4, b"cn=x") + plain(0x30, plain(0x30, plain(4, b"cn") + plain(0x30, b""))))),
            "tag 0x30 where 0x31 belongs",
        ),
        (plain(0x30, NUMBER + plain(0x64, plain(4, b"cn=x") + plain(0x30, b"") + b"?")), CUT_OFF),
        (
            plain(0x30, NUMBER + plain(0x64, plain(4, b"cn=x") + plain(0x30, plain(0x30, plain(4, b"cn") + plain(0x31, b"") + b"?")))),
            CUT_OFF,
        ),
        (plain(0x30, NUMBER + plain(0x73, b"\x02\x01\x00")), "tag 0x02 where 0x04 belongs"),
        (plain(0x30, NUMBER + plain(0x79, b"\x80")), CUT_OFF),
    ],
)
def test_g3_what_is_no_answer_is_a_fault_with_one_line(data: bytes, why: str) -> None:
    assert read(data + bind(SUCCESS)) == [ldap.Fault(why)]
