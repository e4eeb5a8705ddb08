"""The client's side of every mechanism against the server's: what it says, what it believes, and what it does not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from saslauthd_py.keys import AccountKeys, Hash, Keys
from saslauthd_py.mechanisms.client import Credentials, Said, begin
from saslauthd_py.mechanisms.exchange import Challenge, Disproved, Failed, NeedCertificate, NeedKeys, NeedPassword, Proved, Step
from saslauthd_py.mechanisms.scram.client import Untrusted
from saslauthd_py.mechanisms.scram.keys import Unusable, derive
from saslauthd_py.mechanisms.table import MECHANISMS
from saslauthd_py.secret import Secret

SECRET = Secret(b"pencil")
WHO = Credentials("user", SECRET, "office")
SCRAM = [function.mechanism for function in Hash]
End = NeedPassword | Proved | Disproved | Failed


@dataclass
class Table:
    """Both sides at one table, until the server's last step. `said` is what the client said last, `messages` all of it."""

    keys: AccountKeys
    messages: list[bytes | None] = field(default_factory=list)

    def play(self, mechanism: str, who: Credentials) -> tuple[Said, End]:
        said = begin(mechanism, who)
        self.messages.append(said.message)
        step: Step = MECHANISMS[mechanism].begin(said.message)
        while True:
            match step:
                case Challenge(message):
                    said = said.hear(message)
                    self.messages.append(said.message)
                    step = step.receive(said.message or b"")
                case NeedKeys():
                    step = step.resolve(self.keys)
                case NeedCertificate():
                    step = step.resolve("user")
                case NeedPassword() | Proved() | Disproved() | Failed():
                    return said, step


def keys_of(mechanism: str) -> Keys:
    function = MECHANISMS[mechanism].function
    assert function
    return derive(function, SECRET, b"salt of sixteen.", 4096)


def table(keys: Keys | None = None) -> Table:
    return Table(AccountKeys(b"salt of sixteen.", 4096, ((7, keys),) if keys else ()))


def test_there_is_a_client_for_every_mechanism() -> None:
    for mechanism in MECHANISMS:
        begin(mechanism, WHO)
    with pytest.raises(KeyError):
        begin("NTLM", WHO)


def test_plain_is_one_message() -> None:
    said, end = table().play("PLAIN", WHO)
    assert end == NeedPassword("office", "user", SECRET)
    said.believe(None)
    said.believe(b"what some servers add")


def test_login_is_name_and_password_after_their_prompts() -> None:
    at = table()
    said, end = at.play("LOGIN", WHO)
    assert end == NeedPassword("", "user", SECRET)
    assert at.messages == [None, b"user", b"pencil"]
    said.believe(None)


def test_external_is_the_authzid() -> None:
    said, end = table().play("EXTERNAL", WHO)
    assert end == Proved("office", "user")
    said.believe(None)


def test_names_that_are_not_utf8_are_sent_as_they_are_and_not_by_scram() -> None:
    odd = Credentials("j\udcfcrgen", SECRET)
    assert begin("PLAIN", odd).message == b"\0j\xfcrgen\0pencil"
    with pytest.raises(Unusable, match="SCRAM cannot carry a name that is not UTF-8"):
        begin("SCRAM-SHA-256", odd)


@pytest.mark.parametrize("mechanism", SCRAM)
def test_scram_believes_the_server_that_has_the_keys(mechanism: str) -> None:
    said, end = table(keys_of(mechanism)).play(mechanism, WHO)
    assert isinstance(end, Proved)
    assert (end.authzid, end.authcid, end.credential) == ("office", "user", 7)
    said.believe(end.message)
    assert end.message
    final = said.hear(end.message)
    assert final.message == b""
    final.believe(None)


@pytest.mark.parametrize("mechanism", SCRAM)
def test_scram_believes_no_success_without_the_signature(mechanism: str) -> None:
    said, _ = table(keys_of(mechanism)).play(mechanism, WHO)
    for early in (begin(mechanism, WHO), said):
        with pytest.raises(Untrusted, match="a success before the exchange was over"):
            early.believe(None)


@pytest.mark.parametrize("mechanism", SCRAM)
def test_scram_believes_no_wrong_signature_wherever_it_comes(mechanism: str) -> None:
    said, end = table(replace(keys_of(mechanism), server_key=b"k" * 32)).play(mechanism, WHO)
    assert isinstance(end, Proved)
    assert end.message
    for hear in (said.believe, said.hear):
        with pytest.raises(Untrusted, match="wrong server signature"):
            hear(end.message)


@pytest.mark.parametrize("mechanism", SCRAM)
def test_scram_answers_the_server_s_error_and_believes_no_success_after_it(mechanism: str) -> None:
    said, end = table().play(mechanism, WHO)
    assert isinstance(end, Disproved)
    answered = said.hear(end.message)
    assert answered.message == b""
    for final in (None, b"v=AAAA"):
        with pytest.raises(Untrusted):
            answered.believe(final)


@pytest.mark.parametrize("mechanism", ["PLAIN", "EXTERNAL", "LOGIN"])
def test_a_challenge_too_many_is_not_answered(mechanism: str) -> None:
    said, _ = table().play(mechanism, WHO)
    with pytest.raises(Untrusted, match="a challenge after the mechanism's last message"):
        said.hear(b"more?")


def test_a_login_that_is_accepted_before_its_password_is_not_believed() -> None:
    with pytest.raises(Untrusted, match="before the exchange was over"):
        begin("LOGIN", WHO).believe(None)


@pytest.mark.parametrize("mechanism", list(MECHANISMS))
def test_no_message_is_shown(mechanism: str) -> None:
    assert "pencil" not in repr(begin(mechanism, WHO)) + repr(WHO)
