"""Templates of an LDAP backend: what they are made of, and that no login ever changes what they mean (rule G4)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from saslauthd_py.backends.ldap.dn_templates import DnTemplate, NameTemplate, Part, escaped
from saslauthd_py.backends.ldap.pieces import TemplateError
from saslauthd_py.backends.ldap.templates import TemplateErrors, Templates, parse_bind_name, parse_dn, parse_filter
from saslauthd_py.backends.ldap.tokens import Login, Unfillable
from saslauthd_py.config.settings.ldap import LdapSettings
from saslauthd_py.config.settings.tokens import GROUP_TOKENS
from saslauthd_py.identity import Identity
from saslauthd_py.wire.ldap import And, Compare, Comparison, Extensible, Filter, Not, Or, Place, Present, Substrings, Value, ber, places
from saslauthd_py.wire.ldap.filters import compiled
from tests.wire.ldap_peers import filter_by_ldap3

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from ldap3.utils import dn

ALICE = Login(Identity("alice", "mail.example.org"), "smtp", b"uid=alice,ou=people,dc=example,dc=org")
HOSTILE = st.binary(min_size=1, max_size=30) | st.text(alphabet='*()\\\0,+"<>;=# &|!%uU@aé', min_size=1, max_size=30).map(str.encode)
"""Values that a login could have, and many that none can."""


def compare(attribute: str, *value: bytes | str, comparison: Comparison = Comparison.EQUAL) -> Compare:
    return Compare(attribute.encode(), value_of(*value), comparison)


def value_of(*pieces: bytes | str) -> Value:
    """A place for each text, a constant for bytes."""
    return tuple(Place(piece) if isinstance(piece, str) else piece for piece in pieces)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("(uid=%U)", compare("uid", "U")),
        (" ( uid = %U ) ", compare("uid", "U")),
        ("(mail=%U@%d)", compare("mail", "U", b"@", "d")),
        ("(mail=<%u>%R)", compare("mail", b"<", "u", b">", "R")),
        ("(cn=)", compare("cn")),
        ("(cn=a=b%%U)", compare("cn", b"a=b%U")),
        ("(cn=\\25U\\2a\\00\\C3\\a9)", compare("cn", b"%U*\0\xc3\xa9")),
        ("(cn=b\u00fccher %1)", compare("cn", "b\u00fccher ".encode(), "1")),
        ("(age>=%1)", compare("age", "1", comparison=Comparison.GREATER_OR_EQUAL)),
        ("(age<=5)", compare("age", b"5", comparison=Comparison.LESS_OR_EQUAL)),
        ("(cn~=%U)", compare("cn", "U", comparison=Comparison.APPROX)),
        ("(mail=*)", Present(b"mail")),
        ("(mail;lang-de=*)", Present(b"mail;lang-de")),
        ("(mail=%U*)", Substrings(b"mail", value_of("U"))),
        ("(mail=*%R.)", Substrings(b"mail", final=value_of("R", b"."))),
        ("(mail=a*%U@*x%d*z)", Substrings(b"mail", (b"a",), (value_of("U", b"@"), value_of(b"x", "d")), (b"z",))),
        ("(cn:=%U)", Extensible(value_of("U"), b"cn")),
        ("(cn:DN:=%U)", Extensible(value_of("U"), b"cn", dn_attributes=True)),
        ("(cn:caseExactMatch:=%U)", Extensible(value_of("U"), b"cn", b"caseExactMatch")),
        ("(:dn:2.4.6:=%U)", Extensible(value_of("U"), b"", b"2.4.6", True)),
        ("(:2.4.6:=a%s)", Extensible(value_of(b"a", "s"), b"", b"2.4.6")),
        ("(cn:dn:2.4.6:=%U)", Extensible(value_of("U"), b"cn", b"2.4.6", True)),
        (
            "(& (objectClass=person)\n (|(uid=%U)(mail=%u))\n (!(locked=TRUE)) )",
            And(
                (
                    compare("objectClass", b"person"),
                    Or((compare("uid", "U"), compare("mail", "u"))),
                    Not(compare("locked", b"TRUE")),
                )
            ),
        ),
        ("(!(&(a=b)(c=d)))", Not(And((compare("a", b"b"), compare("c", b"d"))))),
    ],
)
def test_a_filter_of_every_form(text: str, parsed: Filter) -> None:
    assert parse_filter(text) == parsed


def test_a_groups_filter_knows_the_users_dn() -> None:
    parsed = parse_filter("(memberOf:1.2.840.113556.1.4.1941:=%D)", GROUP_TOKENS)
    assert parsed == Extensible(value_of("D"), b"memberOf", b"1.2.840.113556.1.4.1941")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", '"" is no filter such as "(uid=%U)": invalid filter'),
        ("uid=%U", '"uid=%U" is no filter such as "(uid=%U)": invalid filter'),
        ("()", "malformed filter"),
        ("(uid)", "invalid matching assertion"),
        ("(&)", "malformed filter"),
        ("(!)", "malformed filter"),
        ("(uid=%U", "has a parenthesis that is not closed"),
        ("(cn=a(b)", "has a parenthesis that is not closed"),
        ("(uid=%U))", "goes on after the parenthesis that closes it"),
        ("(uid=%U)(cn=a)", "goes on after the parenthesis that closes it"),
        ("(a=b))(|(c=d)", "goes on after the parenthesis that closes it"),
        ("(uid=%U)x", "goes on after the parenthesis that closes it"),
        ("((uid=%U))", "malformed filter"),
        ("(&x(uid=%U))", "malformed filter"),
        ("(&(uid=%U)x)", "malformed filter"),
        ("(!(a=b)(c=d))", "NOT (!) clause in filter cannot be multiple"),
        ("(!(a=b)(&(c=d)))", "a ! takes one filter, not several"),
        ("(!(&(a=b))(|(c=d)))", "a ! takes one filter, not several"),
        ("(%U=x)", '"(%U=...)": a token may stand in a value, and this is the name of an attribute or rule'),
        ("(cn:%s:=x)", '"(cn:%s:=...)": a token may stand in a value, and this is the name of an attribute or rule'),
        ("(&(a=b)(%u=*))", '"(%u=...)": a token may stand in a value'),
        ("(uid=%x)", '"(uid=...)": "%x" in "%x": known are'),
        ("(uid=%D)", '"(uid=...)": %D in "%D": the user\'s DN is known in group_filter and group_base only'),
        ("(uid=50%)", '"(uid=...)": "%" in "50%": known are'),
        ("(uid=%R)", '"(uid=...)": %R alone is nothing without a realm: write @%r'),
        ("(uid=*%R)", '"(uid=...)": %R alone is nothing without a realm: write @%r'),
        ("(uid=%R%R)", '"(uid=...)": %R alone is nothing without a realm: write @%r'),
        ("(c n=x)", "is no attribute description or matching rule"),
        ("(=x)", "is no attribute description or matching rule"),
        ("(:=x)", "invalid extensible filter"),
        ("(a:b:c:=x)", "invalid extensible filter"),
        ("(cn=**)", "a substring filter without a part"),
        ("(cn>=a*)", '"(cn=...)": a * may stand after = alone; write \\2a for the character'),
        ("(cn:=a*)", '"(cn=...)": a * may stand after = alone; write \\2a for the character'),
        ("(cn=a\\zz)", '"(cn=...)": "\\\\zz" escapes nothing: write \\5c for a backslash'),
        ("(cn=a\\+1)", '"\\\\+1" escapes nothing'),
        ("(cn=a\\ 1)", '"\\\\ 1" escapes nothing'),
        ("(cn=a\\2)", '"\\\\2" escapes nothing'),
        ("(cn=a\\)", '"\\\\" escapes nothing'),
        ("(cn=\\%U)", '"\\\\" escapes nothing'),
        ("(cn=\\2%%a)", '"\\\\2%" escapes nothing'),
        ("(cn=a\nb)", "the value goes over the end of the line"),
        ("(cn=a\0b)", "holds a character that cannot be printed"),
        ("(cn=\u200b)", "holds a character that cannot be printed"),
        ("(!" * 64 + "(a=b)" + ")" * 64, "nested over 64 deep"),
    ],
)
def test_what_is_no_filter_is_refused_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse_filter(text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="()&|!=*~<>:;\\%uUD25 ax\n", max_size=40))
@settings(max_examples=1000)
def test_any_text_is_a_filter_or_refused_in_our_words(text: str) -> None:
    try:
        parsed = parse_filter(text)
    except TemplateError as error:
        assert str(error)  # noqa: PT017 - that it is no other exception is what is shown
    else:
        assert compiled(parsed)(dict.fromkeys(places(parsed), b"x"))


ATTRIBUTES = st.sampled_from(["uid", "mail", "objectClass", "1.2.840.113556.1.4.8", "cn;lang-de"])
CONSTANTS = st.text(alphabet="abcäé.@-_ %*()\\", min_size=1, max_size=8).filter(lambda text: text == text.strip())


def written(value: list[str], fill: Mapping[str, bytes] | None) -> str:
    """A value's text: constants escaped; tokens as they are, or as the escaped value."""
    pieces = []
    for piece in value:
        if piece.startswith("%") and len(piece) == 2:
            pieces.append(piece if fill is None else "".join(f"\\{octet:02x}" for octet in fill[piece[1]]))
        else:
            constant = "".join(f"\\{ord(letter):02x}" if letter in "*()\\" else letter for letter in piece)
            pieces.append(constant.replace("%", "%%") if fill is None else constant)
    return "".join(pieces)


VALUES = st.lists(
    CONSTANTS.filter(lambda text: len(text) != 2 or text[0] != "%") | st.sampled_from(["%U", "%d", "%u"]), min_size=1, max_size=3
)
Tree = Any
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.tuples(st.sampled_from(["=", ">=", "<=", "~=", ":=", ":dn:2.4.6:="]), ATTRIBUTES, VALUES)
    | st.tuples(st.just("*"), ATTRIBUTES, st.lists(VALUES, min_size=2, max_size=3)),
    lambda inner: st.tuples(st.sampled_from("&|"), st.lists(inner, min_size=1, max_size=3)) | st.tuples(st.just("!"), inner),
    max_leaves=6,
)


def filter_text(tree: Tree, fill: Mapping[str, bytes] | None) -> str:
    match tree:
        case ("!", inner):
            return f"(!{filter_text(inner, fill)})"
        case ("&" | "|" as sign, inner):
            return f"({sign}{''.join(filter_text(each, fill) for each in inner)})"
        case ("*", attribute, parts):
            return f"({attribute}={'*'.join(written(part, fill) for part in parts)})"
        case (sign, attribute, value):
            return f"({attribute}{sign}{written(value, fill)})"
    raise AssertionError(tree)


@given(TREES, HOSTILE, HOSTILE, HOSTILE)
@settings(max_examples=600, deadline=None)
@example(("=", "uid", ["%U"]), b"alice)(uid=*", b"x", b"x")
@example(("&", [("=", "uid", ["%U"]), ("!", ("=", "a", ["b"]))]), b"x)(|(uid=*", b"x", b"x")
@example(("*", "mail", [["%U"], ["%d"]]), b"*", b"\\2a", b"x")
@example(("=", "uid", ["%U"]), b"\\", b"\xff\xfe", b"%U")
def test_g4_a_filled_filter_is_what_ldap3_makes_of_the_escaped_text(tree: Tree, local: bytes, realm: bytes, whole: bytes) -> None:
    fill = {"U": local, "d": realm, "u": whole}
    assert compiled(parse_filter(filter_text(tree, None)))(fill) == filter_by_ldap3(filter_text(tree, fill))


def shape(encoded: bytes, hostile: bytes) -> list[Any]:
    """Tags and constants in their order, below each other as they are in BER; `hostile` where a primitive holds it."""
    found: list[Any] = []
    at = 0
    while at < len(encoded):
        tag, begin, end = ber.read(encoded, at, len(encoded))
        body = encoded[begin:end]
        if tag & 0x20:
            found.append((tag, shape(body, hostile)))
        else:
            found.append((tag, "hostile" if body == hostile else body))
        at = end
    return found


@given(HOSTILE.filter(lambda value: value not in {b"uid", b"mail", b"host", b"person", b"objectClass"}))
@settings(max_examples=3000, deadline=None)
@example(b"*")
@example(b"\xa3\x05\x04\x01a\x04\x00")
def test_g4_no_value_changes_a_filters_structure(value: bytes) -> None:
    fill = compiled(parse_filter("(&(objectClass=person)(|(uid=%U)(mail=%u*))(!(host=%s)))"))
    assert shape(fill(dict.fromkeys("Uus", value)), value) == shape(fill(dict.fromkeys("Uus", b"-")), b"-")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("  ", None),
        ("dc=org", (Part("dc", (b"org",)),)),
        ("uid=%U,dc=%2, dc = %1 ", (Part("uid", value_of("U")), Part("dc", value_of("2")), Part("dc", value_of("1")))),
        ("cn=a+uid=%U@%d,0.9.2342=x", (Part("cn", (b"a",)), Part("uid", value_of("U", b"@", "d"), True), Part("0.9.2342", (b"x",)))),
        ('cn=\\,\\+\\"\\\\\\<\\>\\;\\=\\#\\ ,o=x', (Part("cn", (b',+"\\<>;=# ',)), Part("o", (b"x",)))),
        ("cn=\\C3\\a9\\00=y", (Part("cn", (b"\xc3\xa9\0=y",)),)),
        ("cn=b\u00fccher %% #x", (Part("cn", ("b\u00fccher % #x".encode(),)),)),
    ],
)
def test_a_dn_is_parsed(text: str, parts: tuple[Part, ...] | None) -> None:
    if parts is None:
        with pytest.raises(TemplateError):
            parse_dn(text)
    else:
        assert parse_dn(text) == DnTemplate(parts)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("people", '"people" is no DN from "people" on: must be ATTRIBUTE=VALUE'),
        ("dc=x,", 'is no DN from "" on'),
        ("dc=x,,dc=y", 'is no DN from ",dc=y" on'),
        ("dc=x,y", 'is no DN from "y" on'),
        ("dc=x;dc=y", 'is no DN from "dc=x;dc=y" on'),
        ('dc="x"', "is no DN from"),
        ("dc=<x>", "is no DN from"),
        ("dc=x\\", "is no DN from"),
        ("dc=", '"dc=" has no value'),
        ("dc=,o=x", '"dc=" has no value'),
        ("=x", '"" in "=x": no attribute has this name'),
        ("d c=x", '"d c" in "d c=x": no attribute has this name'),
        ("-a=x", "no attribute has this name"),
        ("%U=x", '"%U" in "%U=x": a token may stand in a value, and this is the name of an attribute'),
        ("cn=#0403616263", "write the value itself and not its encoding, or \\# for the character"),
        ("cn=\\z", '"\\\\z" escapes nothing: write \\\\ for a backslash'),
        ("cn=\\%U", '"\\\\" escapes nothing'),
        ("cn=a\nb", "holds a character that cannot be printed"),
        ("cn=%x", '"cn=%x": "%x" in "%x": known are'),
        ("cn=%D", '"cn=%D": %D in "%D": the user\'s DN is known'),
        ("cn=%R", '"cn=%R": %R alone is nothing without a realm: write @%r'),
        ("%D", "is no DN from"),
    ],
)
def test_what_is_no_dn_is_refused_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse_dn(text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet='dco=,+\\%uUD25#"<>; \n1.-', max_size=40))
@settings(max_examples=1000)
def test_any_text_is_a_dn_or_refused_in_our_words(text: str) -> None:
    for parse in (parse_dn, parse_bind_name):
        try:
            template = parse(text, GROUP_TOKENS)
        except TemplateError as error:
            assert str(error)  # noqa: PT017 - that it is no other exception is what is shown
        else:
            assert isinstance(template.fill(dict.fromkeys(template.places, b"x")), bytes)


def unescaped(value: str) -> bytes:
    """RFC 4514 by hand: pairs of hex digits and plain letters, which is all that is ever written here."""
    whole, at = b"", 0
    while at < len(value):
        step = 3 if value[at] == "\\" else 1
        whole += bytes.fromhex(value[at + 1 : at + 3]) if step == 3 else value[at].encode()
        at += step
    return whole


@given(HOSTILE, HOSTILE)
@settings(max_examples=2000, deadline=None)
@example(b"x,ou=admins", b"y+cn=z")
@example(b" #", b"\\")
def test_g4_no_value_changes_a_dns_structure(local: bytes, realm: bytes) -> None:
    filled = parse_dn("uid=%U+cn=a %d,ou=people,dc=%d").fill({"U": local, "d": realm}).decode("ascii")
    found = dn.parse_dn(filled)
    assert [(attribute, separator) for attribute, _, separator in found] == [("uid", "+"), ("cn", ","), ("ou", ","), ("dc", "")]
    assert [unescaped(value) for _, value, _ in found] == [local, b"a " + realm, b"people", realm]
    reread = parse_dn(filled.replace("%", "%%"))
    assert [part.value for part in reread.parts] == [(local,), (b"a " + realm,), (b"people",), (realm,)]


@given(st.binary(max_size=40))
def test_what_is_escaped_is_plain(value: bytes) -> None:
    assert unescaped(escaped(value).decode("ascii")) == value
    assert set(escaped(value)) <= set(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._@\\")


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("%D", b"uid=alice,ou=people,dc=example,dc=org"),
        (" %D ", b"uid=alice,ou=people,dc=example,dc=org"),
        ("ou=%U, %D", b"ou=alice,uid=alice,ou=people,dc=example,dc=org"),
        ("cn=%D,o=x", b"cn=uid\\3Dalice\\2Cou\\3Dpeople\\2Cdc\\3Dexample\\2Cdc\\3Dorg,o=x"),
        ("cn=%D", b"cn=uid\\3Dalice\\2Cou\\3Dpeople\\2Cdc\\3Dexample\\2Cdc\\3Dorg"),
    ],
)
def test_a_group_base_may_end_in_the_users_dn(text: str, filled: bytes) -> None:
    template = parse_dn(text, GROUP_TOKENS)
    assert "D" in template.places
    assert template.fill(ALICE.values(template.places)) == filled


@pytest.mark.parametrize("text", ["%U@ad.example.org", "EXAMPLE\\%U", "%u", "%U%R"])
def test_a_name_of_active_directory(text: str) -> None:
    template = parse_bind_name(text)
    assert isinstance(template, NameTemplate)
    alice = Login(Identity("alice", "ad.example.org"))
    assert template.fill(alice.values(template.places)) == (b"EXAMPLE\\alice" if "\\" in text else b"alice@ad.example.org")


@pytest.mark.parametrize("text", ["%u", "%U%R"])
def test_b1_a_name_without_a_domain_is_no_account_of_active_directory_s(text: str) -> None:
    template = parse_bind_name(text)
    with pytest.raises(Unfillable, match="the login has no realm"):
        Login(Identity("alice")).values(template.places)


@pytest.mark.parametrize("text", ["%U", "alice", "", "%U\n@x", "%x@example.org"])
def test_what_is_no_name_to_bind_as(text: str) -> None:
    with pytest.raises(TemplateError):
        parse_bind_name(text)


@given(HOSTILE)
@settings(max_examples=500)
@example(b"cn=admin,dc=example,dc=org")
@example(b"EXAMPLE\\administrator")
def test_g4_no_value_makes_a_dn_of_a_name(value: bytes) -> None:
    template = parse_bind_name("%U@ad.example.org")
    try:
        filled = template.fill({"U": value})
    except Unfillable as error:
        assert "%U" in str(error)  # noqa: PT017 - the other branch is as good
    else:
        assert filled == value + b"@ad.example.org"
        assert not set(filled) & set(b'=,+"<>;/\\')


def test_each_token_has_its_value() -> None:
    wanted = {
        "u": b"alice@mail.example.org",
        "U": b"alice",
        "d": b"mail.example.org",
        "r": b"mail.example.org",
        "R": b"@mail.example.org",
        "s": b"smtp",
        "D": b"uid=alice,ou=people,dc=example,dc=org",
        "1": b"org",
        "2": b"example",
        "3": b"mail",
    }
    assert ALICE.values(wanted) == wanted
    nine = Login(Identity("x", "i.h.g.f.e.d.c.b.a"))
    assert b"".join(nine.values("123456789").values()) == b"abcdefghi"
    assert Login(Identity("alice")).values("uUR") == {"u": b"alice", "U": b"alice", "R": b""}
    assert Login(Identity("a@b", "c")).values("uUd") == {"u": b"a@b@c", "U": b"a@b", "d": b"c"}
    assert Login(Identity("w(e)ird*", "\u00fc.de")).values("U2") == {"U": b"w(e)ird*", "2": "\u00fc".encode()}


@pytest.mark.parametrize(
    ("letter", "why"),
    [
        *((letter, f"%{letter} has no value: the login has no realm") for letter in "dr123456789"),
        ("s", "%s has no value: the request names no service"),
        ("D", "%D has no value: the user's DN is not known"),
    ],
)
def test_a_missing_value_refuses_the_login(letter: str, why: str) -> None:
    with pytest.raises(Unfillable) as caught:
        Login(Identity("alice")).values(["U", letter])
    assert str(caught.value) == why


@pytest.mark.parametrize(
    ("realm", "letter"), [("org", "2"), ("example.org", "3"), ("example.org", "9"), ("a..b", "2"), (".b", "2"), ("b.", "1")]
)
def test_a_label_that_is_missing_refuses_the_login(realm: str, letter: str) -> None:
    with pytest.raises(Unfillable) as caught:
        Login(Identity("alice", realm)).values(letter)
    assert str(caught.value) == f"%{letter} has no value: the realm has no label {letter} from the right"


@given(st.sampled_from("uUdrRs123456789D"))
def test_no_value_that_a_template_needs_is_ever_empty(letter: str) -> None:
    for login in (ALICE, Login(Identity("alice")), Login(Identity("a", "b")), Login(Identity("a", "."), "")):
        try:
            value = login.values(letter)[letter]
        except Unfillable:
            continue
        assert value or letter == "R"


@pytest.mark.parametrize(
    "local",
    [
        *(" alice", "alice ", "al  ice", "\u00a0alice", "alice\u3000", "alice\u1680"),
        *("al\u034fice", "alice\ufe0f", "al\ufffcice", "al\u0130ce"),
    ],
)
@pytest.mark.parametrize("letter", ["u", "U"])
def test_b1_a_name_that_a_directory_takes_for_another_is_refused(local: str, letter: str) -> None:
    with pytest.raises(Unfillable) as caught:
        Login(Identity(local, "example.org")).values(letter)
    assert str(caught.value).startswith(f"%{letter} holds ")
    assert local.strip() not in str(caught.value)


def test_b1_so_is_a_realm() -> None:
    for letter in "udrR1":
        with pytest.raises(Unfillable):
            Login(Identity("alice", "example.org ")).values(letter)


def test_a_name_with_a_space_in_it_is_none_of_them() -> None:
    assert Login(Identity("Alice M\u00fcller")).values("U") == {"U": "Alice M\u00fcller".encode()}


SETTINGS: dict[str, Any] = {"type": "ldap", "servers": ["ldaps://a"], "base": "ou=people,dc=%2,dc=%1", "filter": "(mail=%U@%d)"}


def test_all_templates_of_a_backend() -> None:
    parsed = Templates.of(LdapSettings.model_validate(SETTINGS))
    assert parsed == Templates(parse_dn(SETTINGS["base"]), parse_filter(SETTINGS["filter"]))
    assert parsed.letters == set("12Ud")
    assert not parsed.group_letters
    assert not parsed.needs_dn


def test_the_group_is_searched_below_base_by_default() -> None:
    parsed = Templates.of(LdapSettings.model_validate({**SETTINGS, "group_filter": "(member=%D)"}))
    assert parsed.group_base == parsed.base
    assert parsed.group_letters == set("12D")
    assert parsed.needs_dn


def test_a_group_by_name_needs_the_users_dn() -> None:
    parsed = Templates.of(LdapSettings.model_validate({**SETTINGS, "group_dn": "cn=%r,o=x", "group_attribute": "member"}))
    assert parsed.group_letters == {"r"}
    assert parsed.needs_dn


def test_a_dn_template_in_the_place_of_a_search() -> None:
    keys = {"type": "ldap", "servers": ["ldaps://a"], "method": "template", "dn_template": "uid=%U,dc=%1"}
    parsed = Templates.of(LdapSettings.model_validate(keys))
    assert parsed == Templates(bind=parse_dn("uid=%U,dc=%1"))
    assert parsed.letters == set("U1")
    by_name = {**keys, "dn_template": "%U@example.org"}
    group = {"group_filter": "(memberUid=%U)", "group_base": "o=x"}
    assert not Templates.of(LdapSettings.model_validate({**by_name, **group})).needs_dn
    with pytest.raises(TemplateErrors) as caught:
        Templates.of(LdapSettings.model_validate({**by_name, **group, "group_filter": "(member=%D)"}))
    assert str(caught.value).startswith("dn_template: is no DN, and the group check needs the user's")


def test_every_fault_is_told_with_its_key() -> None:
    keys = {**SETTINGS, "base": "people", "filter": "(mail=%U", "group_filter": "member=%D", "group_base": "groups"}
    with pytest.raises(TemplateErrors) as caught:
        Templates.of(LdapSettings.model_validate(keys))
    assert [key for key, _ in caught.value.complaints] == ["base", "group_base", "filter", "group_filter"]
    assert len(str(caught.value).splitlines()) == 4
