"""A worker's PAM call: what a stack is given, what comes back, and whom it is never asked for. Real libpam, a directory of our own."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pam  # type: ignore[import-untyped]  # it has no types
import pytest

from saslauthd_py.config.settings import PamSettings
from saslauthd_py.monitor import accounts, pam_call
from saslauthd_py.monitor.errors import PamUnusable
from saslauthd_py.monitor.pam_call import answer
from saslauthd_py.secret import Secret
from saslauthd_py.wire.monitor import Answer, Call, Refusal, Stage
from tests.interop.pam_machine import module

pytestmark = pytest.mark.peer("cc", "libpam")

LONGEST = b"x" * 512
SILENT_AND_NO_NULL = "flags=0x8001"

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return module("pam_scripted", tmp_path_factory.mktemp("modules"))


@pytest.fixture
def stack(tmp_path: Path, scripted: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write the stack of a service: the scripted module with these arguments. Returns the file of its notes."""
    pam_call.prepare()
    start = ctypes.CDLL("libpam.so.0").pam_start_confdir
    start.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    directory = tmp_path / "pam.d"
    directory.mkdir()

    def start_here(service: bytes, user: bytes, conversation: object, handle: object) -> int:
        code: int = start(service, user, conversation, str(directory).encode(), handle)
        return code

    monkeypatch.setattr(pam.PamAuthenticator, "pam_start", start_here)
    monkeypatch.setattr(pam_call, "DIRECTORIES", (str(directory),))
    notes = tmp_path / "notes"

    def write(*arguments: str, service: str = "smtp") -> Path:
        line = " ".join((str(scripted), f"note={notes}", *arguments))
        (directory / service).write_text(f"auth required {line}\naccount required {line}\n")
        return notes

    write("auth=0", service="other")
    return write


def ask(login: bytes = b"nosuchalice", secret: bytes = b"pw1", service: bytes = b"smtp", address: bytes = b"", **settings: Any) -> Answer:
    return answer(PamSettings(type="pam", **settings), Call(3, service, login, Secret(secret), address))


def test_right_secret_goes_through_both_parts_of_the_stack(stack: Write) -> None:
    stack("secret=pw1")
    said = ask()
    assert (said.id, said.stage, said.code, said.account) == (3, Stage.ACCOUNT, 0, b"nosuchalice")
    assert said.took > 0
    assert said.delay == said.expires == 0


def test_wrong_secret_ends_in_the_first_part(stack: Write) -> None:
    notes = stack("secret=pw1")
    said = ask(secret=b"pw2")
    assert (said.stage, said.code, said.account) == (Stage.AUTHENTICATE, 7, b"")
    assert [line.split()[0] for line in notes.read_text().splitlines()] == ["authenticate"]


@pytest.mark.parametrize("code", [1, 4, 9, 10, 11, 25, 31])
def test_codes_come_back_as_libpam_returns_them(stack: Write, code: int) -> None:
    stack(f"auth={code}")
    said = ask()
    assert said.stage is Stage.AUTHENTICATE
    assert said.code == (6 if code == 25 else code)  # a stack of ignored modules is denied by libpam itself


@pytest.mark.parametrize("code", [6, 7, 10, 12, 13, 27])
def test_account_part_is_always_asked_and_its_no_is_told_as_its_own(stack: Write, code: int) -> None:
    stack("secret=pw1", f"account={code}")
    said = ask()
    assert (said.stage, said.code) == (Stage.ACCOUNT, code)


def test_modules_are_given_flags_and_address_and_no_terminal_of_ours(stack: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    notes = stack("secret=pw1")
    ask(address=b"2001:db8::7")
    lines = notes.read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["authenticate", "acct_mgmt"]  # and no setcred
    for line in lines:
        items = f"service=smtp user=nosuchalice rhost=2001:db8::7 tty=- xdisplay=- {SILENT_AND_NO_NULL}"
        assert line.partition(" ")[2] == items


@pytest.mark.parametrize(
    "address", [b"", b"mail.example.test", b"192.0.2.7;1234", b"fe80::1%eth0\nx", b"192.0.2.7\0", b"\xff", b"1" * 5000]
)
def test_d10_address_that_is_none_is_not_passed_on(stack: Write, address: bytes) -> None:
    notes = stack()
    ask(address=address)
    assert " rhost=- " in notes.read_text()


def test_d1_delay_of_a_module_is_told_and_not_slept(stack: Write) -> None:
    stack("secret=pw1", "delay=3000000")
    said = ask(secret=b"wrong")
    assert 1_500_000 <= said.delay <= 4_500_000
    assert said.took < said.delay
    assert ask().delay == 0


def test_prompts_that_are_no_utf_8(stack: Write) -> None:
    stack("secret=pw1", "prompt=latin1")
    assert ask().code == 0
    assert ask(secret=b"p\xdfw").code == 7


def test_secret_is_passed_as_bytes(stack: Write) -> None:
    stack("secret=p\udcdfw".encode("utf-8", "surrogateescape").decode("latin-1"))  # two letters of UTF-8 in the file
    assert ask(secret="p\xdfw".encode()).code == 0


def test_b1_account_is_the_one_that_the_stack_says(stack: Write) -> None:
    stack("secret=pw1", "user=nosuchbob")
    assert ask().account == b"nosuchbob"


@pytest.mark.parametrize("name", ["root", "daemon"])
def test_a3_account_that_a_module_changes_to_is_judged_too(stack: Write, name: str) -> None:
    stack("secret=pw1", f"user={name}")
    said = ask()
    assert (said.stage, said.code, said.account) == (Stage.REFUSED, Refusal.DENIED, b"")


def test_d7_longest_secret_is_told_apart_to_the_last_byte(stack: Write) -> None:
    stack("secret=" + LONGEST.decode())
    assert ask(secret=LONGEST).code == 0
    assert ask(secret=LONGEST[:-1]).code == 7


@pytest.mark.parametrize("secret", [LONGEST + b"x", b"pw1\0", b"\0", b""])
@pytest.mark.parametrize("wanted", ["secret=" + LONGEST.decode(), "secret=pw1"])
def test_d7_secret_that_pam_takes_not_whole_is_wrong_after_the_same_work(stack: Write, secret: bytes, wanted: str) -> None:
    notes = stack(wanted)
    said = ask(secret=secret)
    assert (said.stage, said.code) == (Stage.AUTHENTICATE, 7)
    assert notes.read_text().startswith("authenticate ")


def test_d7_stack_that_looks_at_no_secret_does_not_make_one_right(stack: Write) -> None:
    stack()
    assert ask().code == 0
    said = ask(secret=LONGEST + b"x")
    assert (said.stage, said.code) == (Stage.REFUSED, Refusal.SECRET)


def test_d7_unknown_user_is_told_whatever_the_secret(stack: Write) -> None:
    stack("auth=10")
    assert ask(secret=b"x" * 5000).code == 10


@pytest.mark.parametrize(
    ("service", "settings"),
    [
        (b"login", {}),
        (b"", {}),
        (b"\xff", {}),
        (b"../smtp", {"services": ()}),
        (b"/etc/passwd", {"services": ()}),
        (b"smtp/../smtp", {"services": ()}),
        (b"smtp\0", {"services": ()}),
        (b".", {"services": ()}),
        (b"smtp", {"services": ("imap",)}),
        (b"smtp", {"services": ("imap",), "pam_service": "smtp"}),
    ],
)
def test_a3_service_that_is_not_allowed_is_not_asked(stack: Write, service: bytes, settings: dict[str, Any]) -> None:
    notes = stack()
    said = ask(service=service, **settings)
    assert (said.stage, said.code) == (Stage.REFUSED, Refusal.SERVICE)
    assert not notes.exists()


def test_service_without_a_file_is_never_pams_other(stack: Write) -> None:
    notes = stack()
    said = ask(service=b"imap")
    assert (said.stage, said.code) == (Stage.REFUSED, Refusal.NO_SERVICE_FILE)
    assert not notes.exists()


def test_pop_and_pop3_are_one_and_either_file_will_do(stack: Write) -> None:
    notes = stack(service="pop3")
    assert ask(service=b"pop").code == ask(service=b"POP3").code == 0
    stack(service="pop")
    assert ask(service=b"pop3").code == 0
    services = [line.split()[1] for line in notes.read_text().splitlines()]
    assert services == ["service=pop3"] * 4 + ["service=pop"] * 2


def test_one_file_for_all_services(stack: Write) -> None:
    notes = stack(service="mail")
    assert ask(service=b"sieve", pam_service="mail").code == 0
    stack(service="mail-imap")
    assert ask(service=b"imap", pam_service="mail-{service}").code == 0
    assert {line.split()[1] for line in notes.read_text().splitlines()} == {"service=mail", "service=mail-imap"}


@pytest.mark.parametrize("login", [b"", b".", b"..", b"a/b", b"../alice", b"al\0ice", b"alice\n", b"\x7f", b"a" * 512])
def test_login_that_no_account_has_is_not_asked_for(stack: Write, login: bytes) -> None:
    notes = stack()
    said = ask(login)
    assert (said.stage, said.code) == (Stage.REFUSED, Refusal.NAME)
    assert not notes.exists()


@pytest.mark.parametrize(
    ("login", "settings"),
    [
        (b"root", {}),
        (b"root", {"min_uid": 0}),
        (b"daemon", {}),
        (b"daemon", {"min_uid": 2, "deny": ()}),
        (b"nosuch", {"deny": ("nosuch",)}),
    ],
)
def test_a3_denied_users_are_not_asked_for(stack: Write, login: bytes, settings: dict[str, Any]) -> None:
    notes = stack()
    said = ask(login, **settings)
    assert (said.stage, said.code) == (Stage.REFUSED, Refusal.DENIED)
    assert not notes.exists()


def test_users_down_to_min_uid_and_those_that_only_the_stack_knows_are_asked_for(stack: Write) -> None:
    stack()
    assert ask(b"daemon", min_uid=1).code == 0
    assert ask(b"nosuch@example.test").code == 0


def test_a3_nobody_is_asked_for_while_min_uid_cannot_be_judged(stack: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(login: bytes) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(accounts, "find_account", fail)
    notes = stack()
    said = ask()
    assert (said.stage, said.code) == (Stage.AUTHENTICATE, 9)
    assert not notes.exists()


def test_account_that_a_module_changes_to_counts_only_once_it_can_be_judged(stack: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    real = accounts.find_account

    def fail(login: bytes) -> accounts.Account | None:
        if login == b"nosuchbob":
            raise OSError(5, "Input/output error")
        return real(login)

    monkeypatch.setattr(accounts, "find_account", fail)
    stack("user=nosuchbob")
    assert ask().code == Refusal.DENIED


@pytest.mark.parametrize("failure", [AttributeError("undefined symbol: pam_start"), OSError("libpam.so.0: not found"), TypeError()])
def test_machine_without_libpam_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    def fail() -> None:
        raise failure

    monkeypatch.setattr(pam, "PamAuthenticator", fail)
    with pytest.raises(PamUnusable, match=r"^PAM cannot be used: .*libpam0g.*$"):
        pam_call.prepare()


def test_python_pam_still_calls_what_stands_in_its_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract that pam_call rests on, and that python-pam does not write down: where this fails, its new version cannot be used."""
    monkeypatch.setenv("DISPLAY", ":0")
    called: list[tuple[str, tuple[Any, ...]]] = []
    instance = pam.PamAuthenticator()

    def record(name: str, result: object) -> Callable[..., object]:
        def function(*arguments: Any) -> object:
            called.append((name, arguments))
            if name == "pam_start":
                arguments[3]._obj.handle = 1
            return result

        return function

    for name in [name for name in vars(instance) if name.startswith("pam_")]:
        setattr(instance, name, record(name, b"text" if name == "pam_strerror" else 0))
    assert instance.authenticate(b"alice", b"pw1", b"smtp", encoding="latin-1", resetcreds=False) is True
    assert instance.code == 0
    names = [name for name, _ in called if name != "pam_strerror"]
    assert names == ["pam_start", "pam_set_item", "pam_set_item", "pam_authenticate", "pam_acct_mgmt", "pam_end"]
    assert called[0][1][:2] == (b"smtp", b"alice")
    for name, (handle, *rest) in called[1:]:
        assert handle.handle == 1
        if name in ("pam_authenticate", "pam_acct_mgmt"):
            assert rest == [0]
