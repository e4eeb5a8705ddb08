"""LDAP as OpenLDAP's tools and slapd spoke it: their requests are ours to the byte, their answers are read whole."""

from __future__ import annotations

import pytest

from saslauthd_py.secret import Secret
from saslauthd_py.wire import ldap
from tests.wire.ldap_peers import answers, as_filter, one, parsed, read, recorded

BASE = b"dc=example,dc=test"
PEOPLE = b"ou=people," + BASE
ALICE = b"uid=alice," + PEOPLE
U0001 = b"uid=u0001," + PEOPLE
MAIL = b"cn=mail,ou=groups," + BASE
ADMIN = ldap.BindRequest(b"cn=admin," + BASE, Secret(b"admin"))
ELSEWHERE = b"ldap://other.example/ou=elsewhere,dc=example,dc=test??sub"

OK = ldap.BindResponse(0)
DONE = ldap.SearchResultDone(0)
UID = ldap.Compare(b"uid", (ldap.Place("U"),))
EITHER = ldap.Or((UID, ldap.Compare(b"uid", (b"u0001",))))
ANY = ldap.Search(UID)
LONG_FILTER = (
    "(&(objectClass=inetOrgPerson)(|(uid=%U)(mail=u000*@%d)(mail=*a*b*c)(cn=\\28\\2a\\29\\00\\c3\\a4))(!(sn>=z))(sn<=zz)(sn~=tb)"
    "(uid:caseExactMatch:=%U)(:dn:2.5.13.5:=people)(ou:dn:=people)"
    "(memberOf:1.2.840.113556.1.4.1941:=cn=mail,ou=groups,dc=example,dc=test)(mail=*))"
)
VALUES = {"U": b"alice", "d": b"example.test"}

CONVERSATIONS: dict[str, tuple[list[ldap.Request], list[ldap.Answer]]] = {
    "whoami": (
        [ldap.BindRequest(ALICE, Secret(b"pw1")), ldap.WHO_AM_I, ldap.UnbindRequest()],
        [OK, ldap.ExtendedResponse(0, value=b"dn:" + ALICE)],
    ),
    "whoami-wrong": (
        [ldap.BindRequest(ALICE, Secret(b"wrong")), ldap.UnbindRequest()],
        [ldap.BindResponse(ldap.ResultCode.INVALID_CREDENTIALS)],
    ),
    "whoami-anonymous": (
        [ldap.AnonymousBind(), ldap.WHO_AM_I, ldap.UnbindRequest()],
        [OK, ldap.ExtendedResponse(0, value=b"")],
    ),
    "external": (
        [ldap.ExternalBind(b""), ldap.WHO_AM_I, ldap.UnbindRequest()],
        [OK, ldap.ExtendedResponse(0, value=b"dn:gidNumber=0+uidNumber=0,cn=peercred,cn=external,cn=auth")],
    ),
    "external-authzid": (
        [ldap.ExternalBind(b"dn:" + ALICE), ldap.UnbindRequest()],
        [ldap.BindResponse(ldap.ResultCode.INSUFFICIENT_ACCESS_RIGHTS, b"", b"SASL(-14): authorization failure: not authorized")],
    ),
    "search-names": (
        [ADMIN, ldap.SearchRequest(ldap.Search(UID, size_limit=2, time_limit=5), PEOPLE, VALUES), ldap.UnbindRequest()],
        [OK, ldap.SearchResultEntry(ALICE), DONE],
    ),
    "search-filter": (
        [
            ADMIN,
            ldap.SearchRequest(ldap.Search(as_filter(parsed(LONG_FILTER)), ldap.Scope.ONE, (b"mail", b"uid")), PEOPLE, VALUES),
            ldap.UnbindRequest(),
        ],
        [OK, DONE],
    ),
    "search-attributes": (
        [ADMIN, ldap.SearchRequest(ldap.Search(EITHER, attributes=(b"cn", b"mail", b"objectClass")), PEOPLE, VALUES), ldap.UnbindRequest()],
        [
            OK,
            *(
                ldap.SearchResultEntry(
                    name, ((b"objectClass", (b"inetOrgPerson",)), (b"cn", (user,)), (b"mail", (user + b"@example.test",)))
                )
                for name, user in ((U0001, b"u0001"), (ALICE, b"alice"))
            ),
            DONE,
        ],
    ),
    "search-types-only": (
        [
            ADMIN,
            ldap.SearchRequest(ldap.Search(ldap.Present(b"objectClass"), ldap.Scope.BASE, (), types_only=True), ALICE),
            ldap.UnbindRequest(),
        ],
        [OK, ldap.SearchResultEntry(ALICE, tuple((n, ()) for n in (b"objectClass", b"uid", b"cn", b"sn", b"mail", b"userPassword"))), DONE],
    ),
    "search-size-limit": (
        [ADMIN, ldap.SearchRequest(ldap.Search(EITHER, size_limit=1), PEOPLE, VALUES), ldap.UnbindRequest()],
        [OK, ldap.SearchResultEntry(U0001), ldap.SearchResultDone(ldap.ResultCode.SIZE_LIMIT_EXCEEDED)],
    ),
    "search-no-such-object": (
        [ADMIN, ldap.SearchRequest(ANY, b"ou=nowhere," + BASE, VALUES), ldap.UnbindRequest()],
        [OK, ldap.SearchResultDone(ldap.ResultCode.NO_SUCH_OBJECT, BASE)],
    ),
    "search-reference": (
        [ADMIN, ldap.SearchRequest(ldap.Search(ldap.Compare(b"ou", (b"elsewhere",))), BASE), ldap.UnbindRequest()],
        [OK, ldap.SearchResultReference((ELSEWHERE,)), DONE],
    ),
    "search-referral": (
        [ADMIN, ldap.SearchRequest(ldap.Search(ldap.Compare(b"ou", (b"x",))), b"ou=elsewhere," + BASE), ldap.UnbindRequest()],
        [OK, ldap.SearchResultDone(ldap.ResultCode.REFERRAL, b"ou=elsewhere," + BASE, referral=(ELSEWHERE,))],
    ),
    "compare": (
        [ADMIN, ldap.CompareRequest(MAIL, b"member", ALICE), ldap.UnbindRequest()],
        [OK, ldap.CompareResponse(ldap.ResultCode.COMPARE_TRUE)],
    ),
    "compare-false": (
        [ADMIN, ldap.CompareRequest(MAIL, b"member", b"cn=nobody"), ldap.UnbindRequest()],
        [OK, ldap.CompareResponse(ldap.ResultCode.COMPARE_FALSE)],
    ),
    "compare-no-attribute": (
        [ADMIN, ldap.CompareRequest(ALICE, b"nosuchattr", b"x"), ldap.UnbindRequest()],
        [OK, ldap.CompareResponse(ldap.ResultCode.UNDEFINED_ATTRIBUTE_TYPE)],
    ),
    "start-tls": ([ldap.START_TLS], [ldap.ExtendedResponse(0)]),
}


def test_every_recorded_conversation_is_looked_at() -> None:
    assert recorded().keys() == CONVERSATIONS.keys() | {"undecodable", "unknown"}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_requests_are_those_of_openldaps_tools_to_the_byte(name: str) -> None:
    requests, _ = CONVERSATIONS[name]
    assert [ldap.encode(number, request) for number, request in enumerate(requests, 1)] == recorded()[name][0]


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_answers_of_slapd_are_read_whole(name: str) -> None:
    _, expected = CONVERSATIONS[name]
    _, said = recorded()[name]
    messages = [one(message) for message in said]
    assert [message.answer for message in messages] == expected
    assert [message.size for message in messages] == [len(message) for message in said]
    search = [number for number, answer in enumerate(expected) if not isinstance(answer, ldap.BindResponse)]
    assert all(messages[number].number == (2 if expected[0] == OK else 1) for number in search)


@pytest.mark.parametrize(("name", "text"), [("undecodable", b"decoding error"), ("unknown", b"unknown LDAP request")])
def test_notice_of_disconnection_has_number_0_and_its_name(name: str, text: bytes) -> None:
    (said,) = recorded()[name][1]
    notice = ldap.ExtendedResponse(ldap.ResultCode.PROTOCOL_ERROR, diagnostic=text, name=ldap.NOTICE_OF_DISCONNECTION)
    assert read(said) == [ldap.Message(0, notice, len(said))]


def test_everything_that_slapd_said_reads_the_same_wherever_it_is_cut() -> None:
    whole = b"".join(answers())
    expected = read(whole)
    assert len(expected) == len(answers())
    for size in (1, 2, 3, 5, 7, 11, 64, 500):
        stream = ldap.Stream()
        found: list[ldap.Message | ldap.Fault] = []
        for at in range(0, len(whole), size):
            stream.feed(whole[at : at + size])
            while (message := stream.next_message()) is not None:
                found.append(message)
        assert found == expected
        assert stream.pending == 0


@pytest.mark.parametrize("message", list(dict.fromkeys(answers())), ids=lambda message: f"{message[5]:x}-{len(message)}")
def test_an_answer_comes_with_its_last_byte_wherever_it_is_cut(message: bytes) -> None:
    for cut in range(len(message)):
        stream = ldap.Stream()
        stream.feed(message[:cut])
        assert stream.next_message() is None
        assert stream.pending == cut
        stream.feed(message[cut:])
        assert stream.next_message() == one(message)
        assert stream.pending == 0
