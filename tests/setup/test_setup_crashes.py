"""Killed at any moment, a change leaves what `undo` restores: content, owner, mode, and what was not there is not there."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from saslauthd_py.control import client
from saslauthd_py.control.client import NotRunning
from saslauthd_py.setup import applying, undoing
from saslauthd_py.setup.applying import Interrupted, NotReady, Proof, RolledBack
from saslauthd_py.setup.journal import NothingApplied
from saslauthd_py.setup.proving import Proved, Unproved
from saslauthd_py.setup.reloading import Reload
from saslauthd_py.setup.steps import MadeDirectory
from saslauthd_py.setup.undoing import undo
from tests.setup import changed_files
from tests.setup.changed_files import PROOF, Machine, applied, fails, killed, new_machine, stand_in

_ALTERATIONS = 20
"""At least so many there are: a test that is killed nowhere shows nothing."""


def test_a_change_killed_at_every_step_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = 0
    halfway = set()
    while True:
        number += 1
        machine = new_machine(tmp_path / str(number))
        before = machine.seen()
        if not killed(lambda machine=machine: applied(machine, monkeypatch), number):  # type: ignore[misc]  # mypy infers no lambda with a default
            break
        stand_in(monkeypatch)
        halfway.add(str(machine.seen()))
        _undone(machine)
        assert machine.seen() == before, f"killed at alteration {number}"
    assert number > _ALTERATIONS
    assert len(halfway) > 5, "it was killed in the middle of the change, too"


def test_a_change_whose_proof_fails_killed_at_every_step_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = 0
    while True:
        number += 1
        machine = new_machine(tmp_path / str(number))
        before = machine.seen()

        def failing(machine: Machine = machine) -> None:
            with pytest.raises(RolledBack, match="a port: 535 no; everything is as it was before"):
                applied(machine, monkeypatch, fails)

        if not killed(failing, number):
            assert machine.seen() == before
            break
        stand_in(monkeypatch)
        _undone(machine)
        assert machine.seen() == before, f"killed at alteration {number}"
    assert number > 2 * _ALTERATIONS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ended_by_a_signal_it_puts_everything_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    machine = new_machine(tmp_path)
    before, handler = machine.seen(), signal.getsignal(number)

    def interrupted(*_: object) -> tuple[Proved, ...]:
        assert machine.seen() != before
        monkeypatch.setattr(undoing, "_ours", lambda _: signal.raise_signal(number))  # once more, while it is taken back
        signal.raise_signal(number)
        return ()

    with pytest.raises(Interrupted, match=r"^interrupted; everything is as it was before$"):
        applied(machine, monkeypatch, interrupted)
    assert machine.seen() == before
    assert signal.getsignal(number) is handler


def out_of_reach() -> None:
    raise Unproved("a socket: permission denied")


def test_a_socket_out_of_reach_is_found_before_the_mail_server_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = new_machine(tmp_path)
    before = machine.seen()
    told: list[Reload] = []
    monkeypatch.setattr(Reload, "take", lambda self: told.append(self))
    monkeypatch.setattr(changed_files, "PROOF", Proof(PROOF.doors, out_of_reach, PROOF.account))
    with pytest.raises(RolledBack, match="permission denied; everything"):
        applied(machine, monkeypatch)
    assert machine.seen() == before
    assert len(told) == 1, "only when all was put back"


def test_nothing_is_changed_without_a_port_to_prove_it_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = new_machine(tmp_path)
    monkeypatch.setattr(changed_files, "PROOF", Proof((), PROOF.reached, PROOF.account))
    with pytest.raises(NotReady, match="no port to log in through"):
        applied(machine, monkeypatch)
    assert not Path(machine.record.path).exists()


def test_a_file_edited_since_it_was_read_is_not_overruled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = new_machine(tmp_path)
    change = machine.change()
    (machine.tree / "main.cf").write_text("a = 3\n")
    before = machine.seen()
    monkeypatch.setattr(Machine, "change", lambda _: change)
    with pytest.raises(NotReady, match=r"main\.cf: changed by somebody else just now"):
        applied(machine, monkeypatch)
    assert machine.seen() == before
    assert not Path(machine.record.path).exists(), "nothing is to be taken back"


def test_a_file_edited_while_the_daemon_takes_its_part_is_not_overruled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = new_machine(tmp_path)
    main = machine.tree / "main.cf"
    change = machine.change()

    def meanwhile(step: MadeDirectory) -> None:
        os.mkdir(step.path)
        main.write_text("a = 3\n")

    monkeypatch.setattr(Machine, "change", lambda _: change)
    monkeypatch.setattr(MadeDirectory, "make", meanwhile)
    with pytest.raises(
        RolledBack, match=r"main\.cf: changed by somebody else just now; taken back but for .*main\.cf \(edited since; as it was: "
    ):
        applied(machine, monkeypatch)
    assert main.read_text() == "a = 3\n"


def test_nothing_is_begun_where_the_daemon_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(*_: object) -> None:
        raise NotRunning("nobody listens")

    machine = new_machine(tmp_path)
    stand_in(monkeypatch)
    monkeypatch.setattr(client, "status", dead)
    with pytest.raises(NotRunning):
        applying.apply(machine.change(), PROOF, machine.record)
    assert not Path(machine.record.path).exists()


def test_a_rollback_that_fails_is_told_beside_its_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = new_machine(tmp_path)
    before = machine.seen()

    def damaging(*_: object) -> tuple[Proved, ...]:
        for copy in Path(machine.record.path).glob("*.copy"):
            copy.write_text("")
        raise Unproved("a port: 535 no")

    with pytest.raises(RolledBack, match=r"^a port: 535 no; and it cannot be taken back: .*damaged.*; try again with --undo$"):
        applied(machine, monkeypatch, damaging)
    assert machine.seen() != before
    assert Path(machine.record.path).exists()


def test_an_undo_killed_at_every_step_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = 0
    while True:
        number += 1
        machine = new_machine(tmp_path / str(number))
        before = machine.seen()
        applied(machine, monkeypatch)
        assert machine.seen() != before
        ended = not killed(lambda machine=machine: undo(machine.record), number)  # type: ignore[misc]  # as above
        _undone(machine)
        assert machine.seen() == before, f"killed at alteration {number}"
        if ended:
            break
    assert number > 10


def test_after_a_crash_and_an_undo_it_can_be_applied_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = new_machine(tmp_path)
    assert killed(lambda: applied(machine, monkeypatch), 3), "while the record was being written"
    applied(machine, monkeypatch)
    assert (machine.tree / "main.cf").read_text() == "a = 2\n"


def _undone(machine: Machine) -> None:
    """A record that was never whole, or has gone already, is nothing to take back."""
    try:
        undone = undo(machine.record)
    except NothingApplied:
        return
    assert undone.left == ()
    assert undone.notes == ()
