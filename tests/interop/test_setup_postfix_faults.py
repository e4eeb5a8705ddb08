"""`setup postfix --apply` where it does not work, is killed, or somebody edits what it wrote: everything can be had back."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop import postfix as private_postfix
from tests.interop.daemon import environment
from tests.interop.postfix import Postfix
from tests.interop.setup_site import ALICE, PASSWORD, Kept, SetUp, for_postfix
from tests.interop.waiting import PATIENCE, until

pytestmark = [pytest.mark.peer("postfix", "openssl", "swaks"), pytest.mark.root]

Place = tuple[Postfix, SetUp, Kept]


@pytest.fixture(scope="module")
def place(machine: Path) -> Iterator[Place]:
    with for_postfix(machine, chroot=True) as made:
        yield made


@contextmanager
def other_main_cf(postfix: Postfix, change: Callable[[str], str]) -> Iterator[None]:
    """Until the end of the block."""
    main = postfix.directory / "conf" / "main.cf"
    before = main.read_text()
    main.write_text(change(before))
    private_postfix.make_old(main.parent)
    try:
        yield
    finally:
        main.write_text(before)
        private_postfix.make_old(main.parent)


def test_a_proof_that_fails_puts_everything_back(place: Place) -> None:
    postfix, setup, kept = place
    conf = postfix.directory / "conf"
    with other_main_cf(postfix, lambda text: f"{text}smtpd_sasl_exceptions_networks = static:all\n"):
        broken = Kept(setup.site.directory / "broken", [conf, setup.site.configuration])
        applied = setup.run("--apply")
        assert broken.differences() == ""
    assert applied.code == 75
    assert "the right password is not taken: AUTH: it offers no AUTH" in applied.errors
    assert "everything is as it was before" in applied.errors
    assert not list(setup.state.iterdir())
    assert setup.users() == [ALICE]
    assert kept.differences() == ""


@pytest.mark.parametrize("kind", ["dovecot", "cyrus"])
def test_a_postfix_that_takes_no_passwords_is_refused_beforehand(place: Place, kind: str) -> None:
    postfix, setup, _ = place
    with other_main_cf(postfix, lambda text: text.replace("= noanonymous", "= noanonymous, noplaintext")):
        applied = setup.run("--type", kind, "--apply")
    assert applied.code == 78
    assert "set smtpd_sasl_tls_security_options = noanonymous" in applied.errors


def test_killed_in_the_middle_it_is_undone(place: Place) -> None:
    postfix, setup, kept = place
    main = postfix.directory / "conf" / "main.cf"
    command = subprocess.Popen(setup.command("--apply"), env=environment(), cwd="/", stdout=subprocess.DEVNULL)
    until(lambda: "smtpd_sasl_type = dovecot" in main.read_text() or command.poll() is not None, "main.cf is changed")
    command.send_signal(signal.SIGKILL)
    assert command.wait(PATIENCE) == -signal.SIGKILL
    assert kept.differences() != ""
    [record] = setup.state.iterdir()
    account = json.loads((record / "manifest.json").read_text())["account"]["stored"]
    setup.site.add(account, "as if it had come so far")
    undone = setup.run("--undo")
    assert (undone.code, undone.told["left"]) == (0, []), undone.errors
    assert kept.differences() == ""
    assert setup.users() == [ALICE]


def test_a_file_edited_since_is_left_and_named_with_65(place: Place) -> None:
    postfix, setup, kept = place
    conf = postfix.directory / "conf" / "sasl" / "smtpd.conf"
    before = conf.read_bytes()
    applied = setup.run("--type", "cyrus", "--apply", "--user", ALICE, "--password-stdin", given=PASSWORD)
    assert applied.code == 0, applied.errors
    with conf.open("a") as file:
        file.write("log_level: 3\n")
    undone = setup.run("--undo")
    assert undone.code == 65
    [left] = undone.told["left"]
    assert (left["what"], left["why"]) == (str(conf), "edited since")
    assert conf.read_text().endswith("log_level: 3\n")
    assert undone.told["restored"] == [str(setup.site.configuration)]
    assert Path(left["copy"]).read_bytes() == before
    conf.write_bytes(Path(left["copy"]).read_bytes())
    assert setup.run("--undo").code == 0
    assert kept.differences() == ""


def test_a_configuration_that_cannot_take_a_listener_is_not_touched(place: Place) -> None:
    _, setup, kept = place
    text = setup.site.configuration.read_text()
    listen = text.partition("[backend.users]")[0]
    inline = 'listen = [{protocol = "saslauthd", path = "' + str(setup.site.mux) + '"}]\n'
    setup.site.configuration.write_text(text.replace(listen, inline))
    applied = setup.run("--apply")
    assert applied.code == 78
    assert "not TOML" in applied.errors
    setup.site.configuration.write_text(text)
    assert kept.differences() == ""


def test_a_postfix_that_does_not_run_is_not_changed(place: Place) -> None:
    postfix, setup, kept = place
    pid = postfix.directory / "queue" / "pid" / "master.pid"
    before = pid.read_text()
    pid.write_text("")
    try:
        applied = setup.run("--apply")
    finally:
        pid.write_text(before)
    assert applied.code == 69
    assert "start it" in applied.errors
    assert kept.differences() == ""
