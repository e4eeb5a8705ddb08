"""`setup postfix` on a real Postfix: what it prints, does and proves, and that nothing of it is left after `--undo`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.postfix import Postfix
from tests.interop.setup_site import ALICE, PASSWORD, Kept, SetUp, for_postfix

pytestmark = [pytest.mark.peer("postfix", "openssl", "swaks"), pytest.mark.root]

LIMIT = 60.0
"""Seconds: an admin's minute."""

Place = tuple[Postfix, SetUp, Kept]


@pytest.fixture(scope="module", params=[False, True], ids=["outside", "chrooted"])
def place(machine: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    with for_postfix(machine, chroot=request.param) as made:
        yield made


@pytest.mark.parametrize("kind", ["dovecot", "cyrus"])
def test_it_is_printed_applied_proved_and_undone_without_a_trace(place: Place, kind: str) -> None:
    postfix, setup, kept = place
    private = postfix.directory / "queue" / "private"
    sockets = set(os.listdir(private))
    printed = setup.run("--type", kind)
    assert (printed.code, printed.told["applied"]) == (0, False), printed.errors
    assert kept.differences() == "", "printing changes nothing"

    applied = setup.run("--type", kind, "--apply")
    assert applied.code == 0, applied.errors
    assert applied.told["changes"] == printed.told["changes"], "what was printed is what is done"
    assert {Path(change["what"]).name for change in applied.told["changes"]} == {
        setup.site.configuration.name,
        "main.cf" if kind == "dovecot" else "smtpd.conf",
    }
    assert len(applied.told["proved"]) == 3, "each of the three ports"
    assert applied.told["seconds"] < applied.seconds < LIMIT
    assert setup.users() == [ALICE], "the throw-away account is gone"
    right, wrong = postfix.login(ALICE, PASSWORD), postfix.login(ALICE, "pw2")
    assert (right.says("235 "), wrong.says("535 ")) == (True, True)
    assert applied.told["socket"] == str(private / ("auth" if kind == "dovecot" else "saslauthd"))

    undone = setup.run("--undo")
    assert (undone.code, undone.told["left"], undone.told["notes"]) == (0, [], []), undone.errors
    assert kept.differences() == ""
    assert not os.listdir(setup.state)
    assert set(os.listdir(private)) <= sockets
