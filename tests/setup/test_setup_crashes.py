"""Killed at any moment, a change leaves what `undo` restores: content, owner, mode, and what was not there is not there."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from saslauthd_py.setup.applying import NotReady, Proof, RolledBack
from saslauthd_py.setup.journal import NothingApplied
from saslauthd_py.setup.proving import Proved, Unproved
from saslauthd_py.setup.reloading import Reload
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
        signal.raise_signal(number)
        return ()

    with pytest.raises(KeyboardInterrupt):
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
