"""Programs that setup runs: what they say when they fail, and the one that comes last whatever happens."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from saslauthd_py.setup.commands import ProgramFailed, at_the_end, run


def test_all_that_a_program_says_is_one_line() -> None:
    """update-exim4.conf says the cause first, and where it left off last."""
    with pytest.raises(ProgramFailed, match=r"`: the cause the rest$") as caught:
        run(("sh", "-c", "echo the cause >&2; echo the rest >&2; exit 3"))
    assert caught.value.code == 3


def test_the_last_one_waits_for_all_who_keep_its_line_and_hears_no_ctrl_c(tmp_path: Path) -> None:
    said = tmp_path / "said"
    last = ("/bin/sh", "-c", f"echo $$ > {said}.new; mv {said}.new {said}; cat; echo over > {said}")
    with at_the_end(last) as held:
        run(("sh", "-c", f"test -e /dev/fd/{held} || exit 1; until test -e {said}; do sleep 0.01; done"), keeping=(held,))
        with pytest.raises(ProgramFailed):
            run(("sh", "-c", f"test -e /dev/fd/{held}"))
        assert os.getsid(int(said.read_text())) != os.getsid(0)
    assert said.read_text() == "over\n"


@pytest.mark.parametrize("fine", [(), (3,)])
def test_its_failure_is_told_unless_it_is_fine(fine: tuple[int, ...]) -> None:
    failed = False
    try:
        with at_the_end(("/bin/sh", "-c", "cat; echo no; exit 3"), fine):
            pass
    except ProgramFailed as failure:
        failed = str(failure).endswith(": no")
    assert failed == (not fine)
