"""The method that reads stored passwords: every value by our schemes, and never by letters."""

from __future__ import annotations

import pytest

from saslauthd_py import passwords
from saslauthd_py.credential import Encoding
from saslauthd_py.hashing import Hashing
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser
from saslauthd_py.wire.ldap import SearchRequest
from tests.backends.directories import ALICE, BOB, GONE, PW, Model, ask, backend, cost

WRONG = Rejected(Reason.WRONG_SECRET)
SSHA = "{SSHA}gjxdJyUNC8pUmxbsVW5nmSEzKiqC4pjN"
"""No password of these tests has this hash."""


def stored(scheme: str, secret: str = PW) -> bytes:
    """As a directory keeps it."""
    return passwords.labelled(passwords.make(scheme, Secret(secret.encode()), elsewhere=True)).encode()


def directory_of(*values: bytes) -> Model:
    """Alice has these passwords."""
    directory = Model()
    directory.add("alice", "never-bound", userPassword=list(values))
    return directory


class Counting(Hashing):
    """Notes what it verifies."""

    def __init__(self) -> None:
        super().__init__(threads=1)
        self.verified: list[Encoding] = []

    async def verify(self, encoding: Encoding, secret: Secret) -> bool:
        self.verified.append(encoding)
        return await super().verify(encoding, secret)


@pytest.mark.parametrize("scheme", ["ssha512", "sha512crypt", "bcrypt", "pbkdf2-sha256"])
async def test_right_and_wrong(scheme: str) -> None:
    directory = directory_of(stored(scheme))
    it = backend(directory, method="compare")
    assert await ask(it) == Accepted(ALICE, replayable=False)
    assert await ask(it, "wrong") == WRONG
    assert await ask(it, "pw1", Identity("bob")) == UnknownUser()
    assert not directory.binds()


async def test_attribute_is_the_configured_one_in_any_case() -> None:
    directory = Model()
    directory.add("alice", "x", mailHash=[stored("ssha256")])
    it = backend(directory, method="compare", password_attribute="MailHash")
    assert isinstance(await ask(it), Accepted)
    search = next(one for one in directory.asked if isinstance(one, SearchRequest))
    assert search.search.attributes == (b"MailHash",)
    assert isinstance(await ask(backend(directory, method="compare")), Unavailable)


async def test_every_value_counts_wherever_it_stands() -> None:
    values = [stored("ssha256", f"pw{number}") for number in range(3)]
    it = backend(directory_of(*values), method="compare")
    for number in range(3):
        assert await ask(it, f"pw{number}") == Accepted(ALICE, sole=False, replayable=False)
    assert await ask(it, "pw3") == WRONG


@pytest.mark.parametrize(
    "value",
    [
        b"pw1",
        b"{SSHA999}pw1",
        b"{SASL}alice@EXAMPLE.TEST",
        b"{SSHA}short",
        b"{SSHA}",
        b"",
        b"{CRYPT}x",
        b"\xff\xfe",
        SSHA[1:].encode(),
        b"{PBKDF2}999999999$aaaa$bbbb",
    ],
)
async def test_record_that_cannot_be_read_is_an_outage_and_never_compared_by_letters(value: bytes) -> None:
    it = backend(directory_of(value), method="compare")
    for secret in ("pw1", "wrong", value.decode("utf-8", "replace")):
        verdict = await ask(it, secret)
        if secret:
            assert isinstance(verdict, Unavailable)
            assert not verdict.judged
            assert "uid=alice" in verdict.cause
            if len(value) > 6:
                assert value.decode("utf-8", "replace") not in verdict.cause


async def test_clear_text_counts_where_it_says_that_it_is() -> None:
    it = backend(directory_of(b"{CLEARTEXT}pw1"), method="compare")
    assert isinstance(await ask(it), Accepted)
    assert await ask(it, "{CLEARTEXT}pw1") == WRONG


async def test_d8_right_secret_is_right_beside_a_broken_record_and_a_wrong_one_nobody_can_tell() -> None:
    for values in ([b"{FOO}x", stored("ssha256")], [stored("ssha256"), b"{FOO}x"]):
        it = backend(directory_of(*values), method="compare")
        assert isinstance(await ask(it), Accepted)
        verdict = await ask(it, "wrong")
        assert isinstance(verdict, Unavailable)
        assert verdict.judged
        assert "unknown scheme" in verdict.cause


async def test_d11_number_of_values_is_bounded() -> None:
    values = [stored("ssha256", f"pw{number}") for number in range(33)]
    assert isinstance(await ask(backend(directory_of(*values[:32]), method="compare"), "pw31"), Accepted)
    verdict = await ask(backend(directory_of(*values), method="compare"), "pw0")
    assert isinstance(verdict, Unavailable)
    assert not verdict.judged


async def test_entry_without_a_password_has_no_credential_where_passwords_can_be_read() -> None:
    directory = directory_of(stored("ssha256"))
    directory.add("bob", "never-bound")
    it = backend(directory, method="compare")
    assert isinstance(await ask(it), Accepted)
    assert await ask(it, "pw1", BOB) == Rejected(Reason.NO_CREDENTIAL)


@pytest.mark.parametrize("secret", [PW, "wrong"])
async def test_g2_passwords_that_the_service_may_not_read_are_an_outage(secret: str) -> None:
    """Active Directory hides them: an entry without one is all that anybody sees."""
    directory = Model()
    directory.add("alice", PW)
    verdict = await ask(backend(directory, method="compare", password_attribute="unicodePwd"), secret)
    assert isinstance(verdict, Unavailable)
    assert not verdict.judged
    assert "shows no unicodePwd" in verdict.cause
    assert "may bind_dn read it?" in verdict.cause


async def test_broken_records_show_that_passwords_can_be_read() -> None:
    directory = directory_of(b"{FOO}x")
    directory.add("bob", "never-bound")
    it = backend(directory, method="compare")
    assert isinstance(await ask(it), Unavailable)
    assert await ask(it, "pw1", BOB) == Rejected(Reason.NO_CREDENTIAL)


async def test_outage_of_the_search() -> None:
    directory = directory_of(stored("ssha256"))
    directory.fail(SearchRequest, GONE)
    assert await ask(backend(directory, method="compare")) == Unavailable(str(GONE))


async def test_password_is_read_anew_at_each_login() -> None:
    directory = directory_of(stored("ssha256"))
    it = backend(directory, method="compare", dn_cache="1h")
    assert await cost(directory, lambda: ask(it)) == ["search"]
    assert await cost(directory, lambda: ask(it)) == ["search"]


async def test_group_is_judged_before_the_hash() -> None:
    hashing = Counting()
    directory = directory_of(stored("ssha256"))
    directory.group("mail")
    it = backend(directory, hashing, method="compare", group_dn="cn=mail,ou=groups,dc=example,dc=test", group_attribute="member")
    assert await ask(it) == Rejected(Reason.GROUP)
    assert not hashing.verified
    assert await cost(directory, lambda: ask(it, "pw1", Identity("bob"))) == ["search", "compare"]


async def test_d6_pretended_work_is_the_hash_that_most_entries_have() -> None:
    hashing = Counting()
    directory = directory_of(stored("sha512crypt"))
    directory.add("bob", "x", userPassword=[stored("ssha256")])
    it = backend(directory, hashing, method="compare")

    async def pretended() -> str:
        await it.pretend(Secret(b"wrong"))
        return passwords.cost(hashing.verified[-1]).profile

    assert await pretended() == passwords.cost_to_make(passwords.DEFAULT_SCHEME).profile
    await ask(it, "wrong")
    assert (await pretended()).startswith("sha512crypt")
    for _ in range(3):
        await ask(it, "wrong", Identity("bob"))
    assert (await pretended()).startswith("ssha256")
    assert not directory.binds()


async def test_d6_login_that_was_compared_owes_no_more_work() -> None:
    hashing = Counting()
    it = backend(directory_of(stored("ssha256")), hashing, method="compare")
    assert await ask(it, "") == WRONG
    assert len(hashing.verified) == 1
    broken = backend(directory_of(b"{FOO}x"), hashing, method="compare")
    assert isinstance(await ask(broken), Unavailable)
    assert len(hashing.verified) == 1
