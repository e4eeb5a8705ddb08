"""Search filters: filled with bytes and never with text (rule G4), byte for byte as ldap3 makes them, and written as RFC 4515 has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.wire.ldap import And, Compare, Comparison, Extensible, Filter, Not, Or, Place, Present, Substrings, places, text
from saslauthd_py.wire.ldap.filters import MAX_DEPTH, Value, compiled
from tests.wire.ldap_peers import as_filter, filter_by_ldap3, parsed

IN_CHAIN = b"1.2.840.113556.1.4.1941"
USER = Compare(b"uid", (Place("U"),))

descriptions = st.from_regex(rb"[a-z][a-zA-Z0-9-]{0,8}(;[a-z]{1,4})?", fullmatch=True)
rules = descriptions.filter(lambda rule: rule.lower() != b"dn" and b";" not in rule) | st.just(IN_CHAIN)
constants = st.binary(min_size=1, max_size=12).filter(lambda value: value == value.strip())  # ldap3 strips what it parses
names = st.sampled_from(["u", "U", "d", "D"])
values: st.SearchStrategy[Value] = st.lists(constants | st.builds(Place, names), min_size=1, max_size=3).map(tuple)
leaves: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Compare, descriptions, values, st.sampled_from(Comparison)),
    st.builds(Present, descriptions),
    st.builds(Substrings, descriptions, values, st.lists(values, max_size=3).map(tuple), values),
    st.builds(Substrings, descriptions, final=values),
    st.builds(Substrings, descriptions, any=st.tuples(values)),
    st.builds(Extensible, values, descriptions, st.just(b"") | rules, st.booleans()),
    st.builds(Extensible, values, st.just(b""), rules, st.booleans()),
)
filters: st.SearchStrategy[Filter] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(And, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=8,
)
filled = st.fixed_dictionaries(dict.fromkeys("uUdD", constants))


@given(filters, filled)
def test_g4_text_of_a_filled_filter_says_to_ldap3_what_its_bytes_say(asked: Filter, values: dict[str, bytes]) -> None:
    assert filter_by_ldap3(text(asked, values)) == compiled(asked)(values)


@given(filters, filled)
def test_g4_text_is_printable_ascii_and_its_values_hold_nothing_that_means_more(asked: Filter, values: dict[str, bytes]) -> None:
    said = text(asked, values)
    assert said.isascii()
    assert said.isprintable()


INJECTIONS = [b"*", b"*)(uid=*", b"alice)(objectClass=*", b"\\2a", b"a\0b", b")", b"(", b"&", b"|(cn=*)", b"\xff\xfe", "ä*".encode(), b"%U"]


@pytest.mark.parametrize("value", INJECTIONS)
def test_g4_a_value_that_looks_like_a_filter_is_compared_as_it_is(value: bytes) -> None:
    wanted = b"\x04\x03uid\x04" + bytes([len(value)]) + value
    assert compiled(USER)({"U": value}) == b"\xa3" + bytes([len(wanted)]) + wanted
    assert compiled(Substrings(b"uid", (Place("U"),)))({"U": value}).endswith(b"\x80" + bytes([len(value)]) + value)


def test_g4_a_name_without_a_value_is_never_left_out() -> None:
    for asked in (USER, Compare(b"mail", (Place("u"), b"@", Place("d"))), And((Present(b"uid"), Not(USER)))):
        with pytest.raises(KeyError):
            compiled(asked)({"x": b"y"})
        with pytest.raises(KeyError):
            text(asked, {"x": b"y"})


@pytest.mark.parametrize(
    "asked",
    [
        Substrings(b"cn", (Place("u"),)),
        Substrings(b"cn", (b"x",), ((Place("u"), Place("u")),)),
        Substrings(b"cn", (b"x",), (), (Place("u"),)),
    ],
)
def test_g4_a_substring_that_became_empty_is_never_sent_as_it_would_match_all(asked: Filter) -> None:
    with pytest.raises(ValueError, match="empty"):
        compiled(asked)({"u": b""})
    assert compiled(asked)({"u": b"a"})


def test_an_equality_may_be_with_nothing() -> None:
    assert compiled(USER)({"U": b""}) == b"\xa3\x07\x04\x03uid\x04\x00" == compiled(Compare(b"uid", ()))({})


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        (Compare(b"uid", (b"a*l(i)c\\e\0\xc3\xa4 b",)), "(uid=a\\2al\\28i\\29c\\5ce\\00\\c3\\a4 b)"),
        (Compare(b"mail", (Place("u"), b"@", Place("d"))), "(mail=ali\\2ace@example.test)"),
        (Compare(b"n", (b"1",), Comparison.GREATER_OR_EQUAL), "(n>=1)"),
        (Compare(b"n", (b"1",), Comparison.LESS_OR_EQUAL), "(n<=1)"),
        (Compare(b"cn", (b"x",), Comparison.APPROX), "(cn~=x)"),
        (Present(b"objectClass"), "(objectClass=*)"),
        (Substrings(b"cn", (b"a",)), "(cn=a*)"),
        (Substrings(b"cn", final=(b"z",)), "(cn=*z)"),
        (Substrings(b"cn", any=((b"m",),)), "(cn=*m*)"),
        (Substrings(b"cn", (b"a",), ((b"m*",), (b"n",)), (b"z",)), "(cn=a*m\\2a*n*z)"),
        (Extensible((Place("d"),), b"memberOf", IN_CHAIN), f"(memberOf:{IN_CHAIN.decode()}:=example.test)"),
        (Extensible((b"x",), b"", b"2.5.13.5", dn_attributes=True), "(:dn:2.5.13.5:=x)"),
        (Extensible((b"x",), b"ou", dn_attributes=True), "(ou:dn:=x)"),
        (Extensible((b"x",), b"ou", b"caseExactMatch", dn_attributes=True), "(ou:dn:caseExactMatch:=x)"),
        (And((Present(b"a"), Or((Present(b"b"), Not(Present(b"c")))))), "(&(a=*)(|(b=*)(!(c=*))))"),
    ],
)
def test_filter_is_written_as_rfc_4515_has_it(asked: Filter, written: str) -> None:
    values = {"u": b"ali*ce", "d": b"example.test"}
    assert text(asked, values) == written
    assert filter_by_ldap3(written) == compiled(asked)(values)


def test_true_and_false_of_rfc_4526() -> None:
    assert (compiled(And(()))({}), text(And(()), {})) == (b"\xa0\x00", "(&)")
    assert (compiled(Or(()))({}), text(Or(()), {})) == (b"\xa1\x00", "(|)")


def test_places_are_the_names_that_a_filter_needs() -> None:
    node = parsed("(&(uid=%U)(!(mail=%u@%d))(cn=x*%r*y)(memberOf:1.2.3:=cn=%s,dc=x)(objectClass=*)(a=b))")
    assert places(as_filter(node)) == {"U", "u", "d", "r", "s"}
    assert places(Present(b"uid")) == frozenset()


def test_constants_are_encoded_once() -> None:
    asked = And((Present(b"uid"), Compare(b"objectClass", (b"person",))))
    fill = compiled(asked)
    assert fill({}) is fill({})


def test_long_values_have_long_lengths() -> None:
    for size in (100, 127, 128, 255, 256, 65535, 65536):
        value = b"x" * size
        assert compiled(USER)({"U": value}) == filter_by_ldap3(f"(uid={value.decode()})")


@pytest.mark.parametrize("description", [b"", b"a b", b"uid)", b"uid=", b"*", b"uid:dn", b"uid\0", b"\xc3\xa4", b"uid;", b";x"])
def test_what_is_no_attribute_description_makes_no_filter(description: bytes) -> None:
    with pytest.raises(ValueError, match="no attribute description"):
        Compare(description, (b"x",))
    with pytest.raises(ValueError, match="no attribute description"):
        Present(description)
    with pytest.raises(ValueError, match="no attribute description"):
        Substrings(description, (b"x",))
    with pytest.raises(ValueError, match=r"neither attribute nor rule|no attribute description"):
        Extensible((b"x",), description)
    if description:
        with pytest.raises(ValueError, match="no attribute description"):
            Extensible((b"x",), b"uid", description)


@pytest.mark.parametrize("description", [b"uid", b"2.5.4.3", b"userCertificate;binary", b"cn;lang-de", b"member;range=0-1499", b"x_y"])
def test_attribute_descriptions_that_servers_have(description: bytes) -> None:
    assert Present(description).attribute == description


def test_a_substring_filter_has_parts_and_none_is_empty() -> None:
    for parts in ((), ((), ((),)), ((b"x",), ((b"y",), ()))):
        with pytest.raises(ValueError, match="substring filter"):
            Substrings(b"cn", *parts)
    with pytest.raises(ValueError, match="is empty"):
        compiled(Substrings(b"cn", (b"",)))


def test_g3_a_filter_is_nested_only_so_deep() -> None:
    asked: Filter = Present(b"uid")
    for _ in range(MAX_DEPTH - 1):
        asked = Not(asked)
    assert text(asked, {}).count("!") == MAX_DEPTH - 1
    assert compiled(asked)({})
    with pytest.raises(ValueError, match="nested over 64 deep"):
        compiled(Not(asked))
