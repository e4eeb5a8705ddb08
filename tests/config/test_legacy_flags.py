"""The original's command line: what its getopt made of it, and what it refused."""

from __future__ import annotations

from getopt import GetoptError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.config.legacy.flags import CACHE_SECONDS, MECHANISMS, Flags, FlagsError, UsageWanted, VersionWanted, parse


def test_nothing_but_a_mechanism_is_the_originals_defaults() -> None:
    assert parse(["-a", "pam"]) == Flags("pam")
    assert (Flags("pam").run_directory, Flags("pam").cache_seconds) == ("/var/run/saslauthd", CACHE_SECONDS)


def test_flags_in_clusters_and_behind_operands() -> None:
    found = parse(["-crn3", "-m/run/x/", "-a", "LDAP", "-O", "/etc/x.conf", "-s8192", "-t", "60", "-ldV"])
    assert found == Flags(
        "ldap",
        run_directory="/run/x",
        option="/etc/x.conf",
        cache=True,
        cache_seconds=60,
        cache_kilobytes=8192,
        processes=3,
        whole_logins=True,
        foreground=True,
        lockless=True,
    )
    behind = parse(["operand", "-a", "pam", "-f"])
    assert (behind.mechanism, behind.foreground) == ("pam", True)
    assert [str(note) for note in behind.notes] == ['"operand": no flag, and passed over, as by the original; is there a blank too many?']


@pytest.mark.parametrize(("value", "count"), [("zz", 0), ("2x", 2), ("007", 7), ("", 0)])
def test_numbers_are_taken_as_atoi_takes_them_and_told(value: str, count: int) -> None:
    found = parse(["-a", "pam", "-n", value])
    assert found.processes == count
    assert [note.key for note in found.notes] == ["-n"]


def test_h_is_o_of_old_and_never_goes_before_it() -> None:
    assert parse(["-a", "rimap", "-H", "mail"]).option == "mail"
    assert parse(["-a", "rimap", "-O", "new", "-H", "old"]).option == "new"
    assert [note.key for note in parse(["-a", "pam", "-T", "-H", "x"]).notes] == ["-T", "-H"]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (["-a", "nope"], FlagsError, "unknown authentication mechanism: nope"),
        (["-a", "sia"], FlagsError, "not in saslauthd-py"),
        (["-a", "pam", "-m", "x"], FlagsError, "-m requires an absolute pathname"),
        (["-a", "pam", "-n", "-1"], FlagsError, "invalid number"),
        (["-a", "pam", "-s", "0"], FlagsError, "cache size"),
        (["-a", "pam", "-t", "-5"], FlagsError, "cache timeout"),
        (["-h", "-a", "nope"], UsageWanted, ""),
        ([], UsageWanted, "no authentication mechanism"),
        (["-a", "pam", "-a", "pam"], UsageWanted, "twice"),
        (["-v"], VersionWanted, ""),
        (["-x"], GetoptError, "x"),
        (["-a"], GetoptError, "a"),
    ],
)
def test_what_does_not_start(arguments: list[str], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as raised:
        parse(arguments)
    assert text in str(raised.value)


@given(st.lists(st.one_of(st.sampled_from(["-a", "-c", "-n", "-s", "-m", "--", "-O", *MECHANISMS]), st.text(max_size=5)), max_size=8))
def test_any_words_are_flags_or_one_of_the_refusals(words: list[str]) -> None:
    try:
        found = parse(words)
    except (FlagsError, UsageWanted, VersionWanted, GetoptError):
        return
    assert found.mechanism in MECHANISMS
    assert found.run_directory.startswith("/")
