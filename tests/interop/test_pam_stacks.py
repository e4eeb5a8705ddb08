"""The files of conf/pam.d in the real libpam: what they tell apart, and that both resets of pam_faillock work."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from saslauthd_py.backends.pam.codes import Code, meaning
from saslauthd_py.config.settings.pam import is_file_name
from saslauthd_py.verdict import Reason, Rejected, Unavailable, UnknownUser
from saslauthd_py.wire.monitor import Answer, Refusal, Stage
from tests.interop.pam_machine import STACKS, UNIX, PamMachine, hashed, module, pam_machine

Ask = Callable[..., Answer]
WRONG = Rejected(Reason.WRONG_SECRET)
TRIES = 3
"""`deny` of the machine's faillock.conf."""

_LINE = re.compile(r"(auth|account) +(required|\[[a-z0-9_= ]+\]) +(pam_[a-z]+\.so)( [a-z_]+)*")


def rules(name: str) -> list[str]:
    return [line for line in (STACKS / name).read_text().splitlines() if line and not line.startswith("#")]


@pytest.fixture
def own(machine: Path) -> Iterator[PamMachine]:
    with pam_machine(machine) as made:
        made.account("alice", hashed("pw1"))
        yield made


@pytest.mark.parametrize("name", sorted(path.name for path in STACKS.iterdir()))
def test_files_have_both_parts_and_could_be_a_services(name: str) -> None:
    assert is_file_name(name)
    matches = [_LINE.fullmatch(line) for line in rules(name)]
    assert all(matches), name
    assert {match[1] for match in matches if match} == {"auth", "account"}


@pytest.mark.root
@pytest.mark.peer("unshare")
def test_smtp_tells_wrong_from_unknown(own: PamMachine) -> None:
    own.service("smtp", (STACKS / "smtp").read_text())
    with own.asking(type="pam") as ask:
        assert ask("alice", "pw1").code == 0
        assert _no(ask("alice", "wrong")) == WRONG
        assert _no(ask("nosuch", "wrong")) == UnknownUser()


@pytest.mark.root
@pytest.mark.peer("unshare")
def test_one_file_serves_all_services(own: PamMachine) -> None:
    own.service("smtp", (STACKS / "smtp").read_text())
    with own.asking(type="pam", pam_service="smtp") as ask:
        for service in ("imap", "pop3", "sieve", "ldap"):
            assert ask("alice", "pw1", service).code == 0
    with own.asking(type="pam") as ask:
        assert ask("alice", "pw1", "imap").code == Refusal.NO_SERVICE_FILE


@pytest.mark.root
@pytest.mark.peer("unshare")
def test_debians_common_auth_hides_who_is_unknown(own: PamMachine) -> None:
    """Why the files here do without it."""
    common = "auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n"
    own.service("smtp", f"{common}account required pam_unix.so\n")
    with own.asking(type="pam") as ask:
        assert ask("alice", "pw1").code == 0
        assert _no(ask("nosuch", "wrong")) == WRONG


@pytest.mark.root
@pytest.mark.peer("unshare", "faillock")
def test_faillock_locks_after_some_failures_and_good_logins_reset_it(own: PamMachine) -> None:
    own.service("smtp", (STACKS / "smtp.faillock").read_text())
    own.account("bob", hashed("pw1"))
    with own.asking(type="pam") as ask:
        for _ in range(2):
            for _ in range(TRIES - 1):
                assert _no(ask("alice", "wrong", address="192.0.2.7")) == WRONG
            assert ask("alice", "pw1").code == 0  # forgotten: else the second round would lock
        for _ in range(TRIES):
            assert _no(ask("alice", "wrong", address="192.0.2.7")) == WRONG
        for secret in ("pw1", "wrong"):
            assert _no(ask("alice", secret)) == WRONG
        assert ask("bob", "pw1").code == 0
        _unlock(own, "alice")
        assert ask("alice", "pw1").code == 0
    own.logged("pam_faillock(smtp:auth)", "Consecutive login failures for user alice", count=1)


@pytest.mark.root
@pytest.mark.peer("unshare", "faillock")
def test_faillock_counts_neither_unknown_users_nor_outages(own: PamMachine) -> None:
    own.service("smtp", (STACKS / "smtp.faillock").read_text())
    own.account("half", hashed("pw1"))
    own.forget_shadow("half")
    with own.asking(type="pam") as ask:
        for _ in range(TRIES + 1):
            assert _no(ask("nosuch", "wrong")) == UnknownUser()
            assert isinstance(_no(ask("half", "pw1")), Unavailable)
    assert [tally.name for tally in (own.directory / "faillock").iterdir() if tally.stat().st_size] == []


@pytest.mark.root
@pytest.mark.peer("unshare", "faillock")
@pytest.mark.parametrize("reset", ["auth", "account", "none"])
def test_faillock_is_reset_in_either_part(own: PamMachine, reset: str) -> None:
    stack = [
        "auth required pam_faillock.so preauth",
        "auth [success=1 default=ignore] pam_unix.so",
        "auth [default=die] pam_faillock.so authfail",
        "auth required pam_faillock.so authsucc" if reset == "auth" else "auth required pam_permit.so",
        *(["account required pam_faillock.so"] if reset == "account" else []),
        "account required pam_unix.so",
    ]
    own.service("smtp", "".join(f"{line}\n" for line in stack))
    with own.asking(type="pam") as ask:
        for _ in range(TRIES - 1):
            said = ask("alice", "wrong")
            assert said.code == Code.PAM_PERM_DENIED  # what the usual stack makes of a wrong password
            assert _no(said) == WRONG
        assert ask("alice", "pw1").code == 0
        ask("alice", "wrong")
        last = ask("alice", "pw1")
        assert (last.code == 0) == (reset != "none")
        assert last.code == 0 or _no(last) == WRONG


@pytest.mark.root
@pytest.mark.peer("unshare", "cc", "libpam")
@pytest.mark.parametrize(("code", "verdict"), [(0, None), (7, WRONG), (10, UnknownUser()), (9, Unavailable), (4, Unavailable)])
def test_sssd_answers_for_its_own_users_and_for_no_local_one(own: PamMachine, code: int, verdict: object) -> None:
    """Debian's pam_sss needs an sssd; a module that answers as it would stands in for it."""
    sss = module("pam_scripted", own.directory)
    notes = own.directory / "notes"
    own.service("smtp", (STACKS / "smtp.sssd").read_text().replace("pam_sss.so", f"{sss} secret=pw3 auth={code} note={notes}"))
    with own.asking(type="pam") as ask:
        assert ask("alice", "pw1").code == 0
        assert _no(ask("alice", "pw3")) == WRONG
        assert not notes.exists()
        said = ask("carol", "pw3")
        if verdict is None:
            assert (said.stage, said.code, said.account) == (Stage.ACCOUNT, 0, b"carol")
        else:
            assert _no(said) == verdict or isinstance(_no(said), Unavailable) == (verdict is Unavailable)
        assert notes.read_text().startswith("authenticate service=smtp user=carol ")


@pytest.mark.root
@pytest.mark.peer("unshare", "cc", "libpam")
@pytest.mark.parametrize("account", [6, 13, 9])
def test_sssd_has_the_last_word_on_its_users_accounts(own: PamMachine, account: int) -> None:
    sss = module("pam_scripted", own.directory)
    own.service("smtp", (STACKS / "smtp.sssd").read_text().replace("pam_sss.so", f"{sss} secret=pw3 account={account}"))
    with own.asking(type="pam") as ask:
        said = ask("carol", "pw3")
        assert (said.stage, said.code) == (Stage.ACCOUNT, account)
        assert ask("alice", "pw1").code == 0


@pytest.mark.root
@pytest.mark.peer("unshare")
def test_module_that_is_not_there_is_an_outage(own: PamMachine) -> None:
    own.service("smtp", "auth required pam_nosuchmodule.so\naccount required pam_unix.so\n")
    own.service("imap", "auth required pam_unix.so\naccount required pam_nosuchmodule.so\n")
    with own.asking(type="pam") as ask:
        assert isinstance(_no(ask("alice", "pw1")), Unavailable)
        assert isinstance(_no(ask("alice", "pw1", "imap")), Unavailable)


@pytest.mark.root
@pytest.mark.peer("unshare")
@pytest.mark.parametrize("broken", ["auth required\n", "nonsense\n", f"{UNIX}auth [success] pam_unix.so\n", ""])
def test_file_that_is_no_stack_lets_nobody_in(own: PamMachine, broken: str) -> None:
    own.service("smtp", broken)
    with own.asking(type="pam") as ask:
        assert ask("alice", "pw1").code != 0


def _no(said: Answer) -> object:
    assert said.code != 0
    return meaning(said.stage, said.code)


def _unlock(own: PamMachine, name: str) -> None:
    (own.directory / "faillock" / name).write_bytes(b"")
