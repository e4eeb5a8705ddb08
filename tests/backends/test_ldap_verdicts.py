"""What each result code says of a login, and what an admin is told of it."""

from __future__ import annotations

import pytest

from saslauthd_py.backends.ldap import verdicts
from saslauthd_py.backends.ldap.verdicts import CannotTell
from saslauthd_py.verdict import FINAL_REASONS, Reason, Rejected, UnknownUser
from saslauthd_py.wire.ldap import ResultCode, SearchResultEntry
from tests.backends.directories import SERVER, said

WRONG = Rejected(Reason.WRONG_SECRET)
OUTAGE = CannotTell
ENTRY = SearchResultEntry(b"uid=alice,dc=test")

BINDS: dict[int, object] = {
    ResultCode.SUCCESS: None,
    ResultCode.INVALID_CREDENTIALS: WRONG,
    ResultCode.INAPPROPRIATE_AUTHENTICATION: Rejected(Reason.NO_CREDENTIAL),
    ResultCode.UNWILLING_TO_PERFORM: Rejected(Reason.DISABLED),
    ResultCode.CONSTRAINT_VIOLATION: Rejected(Reason.LOCKED),
    ResultCode.INSUFFICIENT_ACCESS_RIGHTS: Rejected(Reason.DISABLED),
    ResultCode.NO_SUCH_OBJECT: WRONG,
}
"""Of an entry that a search found; all others are outages."""

NOT_JUDGED = {
    ResultCode.PROTOCOL_ERROR,
    ResultCode.AUTH_METHOD_NOT_SUPPORTED,
    ResultCode.STRONGER_AUTH_REQUIRED,
    ResultCode.REFERRAL,
    ResultCode.UNAVAILABLE_CRITICAL_EXTENSION,
    ResultCode.CONFIDENTIALITY_REQUIRED,
    ResultCode.INVALID_DN_SYNTAX,
    ResultCode.BUSY,
    ResultCode.UNAVAILABLE,
}


def active_directory(sub_code: str) -> str:
    """As a domain controller words it, with the NUL at its end."""
    return f"80090308: LdapErr: DSID-0C090446, comment: AcceptSecurityContext error, data {sub_code}, v4563\0"


@pytest.mark.parametrize("code", [*ResultCode, 4096, 9])
def test_g2_every_code_of_a_bind_has_its_meaning(code: int) -> None:
    expected = BINDS.get(code, OUTAGE)
    if expected is not OUTAGE:
        assert verdicts.of_bind(said(code), found=True) == expected
        return
    with pytest.raises(CannotTell) as caught:
        verdicts.of_bind(said(code, "its own words"), found=True)
    assert str(caught.value).startswith(f"{SERVER}: bind: ")
    assert str(code + 0) in str(caught.value)
    assert "its own words" in str(caught.value)
    assert caught.value.judged == (code not in NOT_JUDGED)


REFUSED = [
    ("52e", Reason.WRONG_SECRET),  # Samba: also where the name is nobody's
    ("52f", Reason.DISABLED),  # Samba: of the group Protected Users
    ("530", Reason.DISABLED),
    ("531", Reason.DISABLED),
    ("532", Reason.EXPIRED),
    ("533", Reason.DISABLED),
    ("701", Reason.EXPIRED),
    ("773", Reason.EXPIRED),
    ("775", Reason.LOCKED),
]


@pytest.mark.parametrize(
    ("sub_code", "reason"),
    [*REFUSED, ("52E", Reason.WRONG_SECRET), ("57", Reason.WRONG_SECRET), ("525", Reason.WRONG_SECRET)],
)
def test_g2_sub_codes_of_active_directory(sub_code: str, reason: Reason) -> None:
    assert verdicts.of_bind(said(ResultCode.INVALID_CREDENTIALS, active_directory(sub_code)), found=True) == Rejected(reason)


def test_g2_sub_code_counts_beside_invalid_credentials_alone() -> None:
    answer = said(ResultCode.UNWILLING_TO_PERFORM, active_directory("52e"))
    assert verdicts.of_bind(answer, found=True) == Rejected(Reason.DISABLED)
    with pytest.raises(CannotTell):
        verdicts.of_bind(said(ResultCode.BUSY, active_directory("52e")), found=True)


@pytest.mark.parametrize("sub_code", ["51f", "547", "54b", "6ba", "6bb", "6fa", "6fd", "6fe", "700", "712", "80090311"])
def test_g2_controller_that_reaches_no_other_is_an_outage(sub_code: str) -> None:
    """It counts as an attempt (rule D9): Samba, read-only, takes the password that it has a copy of, and says 51f of any other."""
    with pytest.raises(CannotTell, match=f"data {sub_code}") as caught:
        verdicts.of_bind(said(ResultCode.INVALID_CREDENTIALS, active_directory(sub_code)), found=True)
    assert caught.value.judged


SAMBA_S = "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {}, v1db1"
"""As Samba 4.17 words it, without a NUL."""


@pytest.mark.parametrize(
    "sub_code", ["8", "e", "1f", "79", "54e", "54f", "567", "5aa", "5b4", "200e", "200f", "20ee", "80090300", "80090304"]
)
@pytest.mark.parametrize("found", [True, False])
def test_g2_controller_that_fails_within_is_an_outage(sub_code: str, found: bool) -> None:
    with pytest.raises(CannotTell, match="the controller itself has failed") as caught:
        verdicts.of_bind(said(ResultCode.INVALID_CREDENTIALS, SAMBA_S.format(sub_code)), found=found)
    assert caught.value.judged  # some accounts' records are read only for the right password (rule D9)
    assert f"data {sub_code}" in str(caught.value)


@pytest.mark.parametrize(("sub_code", "reason"), REFUSED)
def test_g2_sub_codes_that_samba_sends(sub_code: str, reason: Reason) -> None:
    for found in (True, False):
        assert verdicts.of_bind(said(ResultCode.INVALID_CREDENTIALS, SAMBA_S.format(sub_code)), found=found) == Rejected(reason)


def test_meaning_is_told_of_refusals_alone_and_not_of_a_wrong_password() -> None:
    assert verdicts.meaning(ResultCode.INVALID_CREDENTIALS, active_directory("533")) == "the account is disabled"
    assert verdicts.meaning(ResultCode.INVALID_CREDENTIALS, active_directory("52e")) is None
    assert verdicts.meaning(ResultCode.INVALID_CREDENTIALS, "") is None
    assert verdicts.meaning(ResultCode.BUSY, active_directory("533")) is None


@pytest.mark.parametrize("words", ["unwilling to perform simple authentication", "operation restricted", "Minimum SSF not met."])
def test_g2_server_that_lets_nobody_bind_says_nothing_of_an_account(words: str) -> None:
    with pytest.raises(CannotTell) as caught:
        verdicts.of_bind(said(ResultCode.UNWILLING_TO_PERFORM, words), found=True)
    assert not caught.value.judged


@pytest.mark.parametrize(
    ("code", "diagnostic"),
    [(ResultCode.NO_SUCH_OBJECT, ""), (ResultCode.INVALID_DN_SYNTAX, ""), (ResultCode.INVALID_CREDENTIALS, active_directory("525"))],
)
def test_name_of_a_template_that_no_entry_has_is_an_unknown_user(code: int, diagnostic: str) -> None:
    assert verdicts.of_bind(said(code, diagnostic), found=False) == UnknownUser()


def test_b4_expired_password_of_389_ds_is_no_wrong_one() -> None:
    """Recorded of 389-ds 2.3.1, which says no word with a wrong password."""
    assert verdicts.of_bind(said(ResultCode.INVALID_CREDENTIALS, "password expired!"), found=True) == Rejected(Reason.EXPIRED)
    assert Reason.EXPIRED in FINAL_REASONS
    assert verdicts.of_bind(said(ResultCode.INVALID_CREDENTIALS), found=True) == WRONG
    assert verdicts.of_bind(said(ResultCode.CONSTRAINT_VIOLATION, "password expired!"), found=True) == Rejected(Reason.LOCKED)


def test_b4_locks_of_a_directory_end_a_chain() -> None:
    reasons = {refused.reason for refused in BINDS.values() if isinstance(refused, Rejected)}
    assert reasons - FINAL_REASONS == {Reason.WRONG_SECRET, Reason.NO_CREDENTIAL}


@pytest.mark.parametrize("code", ResultCode)
def test_search_that_found_less_than_there_is_is_an_outage(code: ResultCode) -> None:
    if code == ResultCode.SUCCESS:
        verdicts.of_search(said(code), "search")
        return
    with pytest.raises(CannotTell, match="search") as caught:
        verdicts.of_search(said(code), "search")
    assert not caught.value.judged
    if code == ResultCode.SIZE_LIMIT_EXCEEDED:
        verdicts.of_search(said(code, "", ENTRY), "search")
    else:
        with pytest.raises(CannotTell):
            verdicts.of_search(said(code, "", ENTRY), "search")


@pytest.mark.parametrize("code", ResultCode)
def test_compare_has_two_answers_and_an_attribute_that_is_not_there_is_no(code: ResultCode) -> None:
    answers = {ResultCode.COMPARE_TRUE: True, ResultCode.COMPARE_FALSE: False, ResultCode.NO_SUCH_ATTRIBUTE: False}
    if code in answers:
        assert verdicts.of_compare(said(code), "compare") == answers[code]
    else:
        with pytest.raises(CannotTell, match="compare"):
            verdicts.of_compare(said(code), "compare")


def test_g2_referral_is_named_and_never_followed() -> None:
    with pytest.raises(CannotTell, match="never asked: name that one in servers"):
        verdicts.of_bind(said(ResultCode.REFERRAL), found=True)


def test_line_is_one_and_its_length_is_bounded() -> None:
    told = verdicts.told(said(ResultCode.OTHER, "x" * 10_000 + "\0"), "bind")
    assert len(told) < 300
    assert "\0" not in verdicts.told(said(ResultCode.OTHER, "words\r\n\0"), "bind")
