"""Debian's and Red Hat's files: the command line that their script or unit would start, and what changes beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.config.legacy.service_files import ServiceFileError, Started, read

DEBIAN = 'START=yes\nDESC="SASL Daemon"\nNAME="saslauthd"\nMECHANISMS="rimap"\nMECH_OPTIONS="mail"\nTHREADS=5\nOPTIONS="-c -m /run/x"\n'
RED_HAT = "# x\nSOCKETDIR=/run/saslauthd\nMECH=pam\nFLAGS=-n 5 -O '/a b'\n"


def told(started: Started) -> list[str]:
    return [str(note).partition(": ")[0] if note.line is None else f"{note.line}:{note.key}" for note in started.notes]


def test_debians_script_and_red_hats_unit() -> None:
    assert read(DEBIAN) == Started(("-a", "rimap", "-O", "mail", "-c", "-m", "/run/x", "-n", "5"), (), "sasl")
    assert read(f'{DEBIAN}DAEMON="/x --startas /y"\n') == read(DEBIAN)
    assert read(RED_HAT) == Started(("-m", "/run/saslauthd", "-a", "pam", "-n", "5", "-O", "/a b"), ())


def test_what_is_not_said() -> None:
    bare = read("MECHANISMS=pam")
    assert bare.arguments == ("-a", "pam", "-c", "-m", "/var/run/saslauthd")
    assert told(bare) == ["START", "OPTIONS"]
    assert read("MECH=pam").arguments == ("-m", "/run/saslauthd", "-a", "pam")


def test_what_is_there_for_others_is_told() -> None:
    assert told(read(DEBIAN.replace("START=yes", "START=no") + "export KRB5_KTNAME=/x\n")) == ["8:KRB5_KTNAME", "1:START"]
    assert told(read(RED_HAT + "DAEMONOPTS=--user saslauth\nKRB5_KTNAME=/x\n")) == ["6:KRB5_KTNAME", "5:DAEMONOPTS"]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", None, "MECHANISMS names no mechanism"),
        ("\nMECHANISMS=''", 2, "MECHANISMS names no mechanism"),
        ('MECHANISMS=pam\nOPTIONS="-c"', 2, "OPTIONS has no -m"),
        ('MECHANISMS=pam\nOPTIONS="-c -m/run/x"', 2, "OPTIONS has no -m"),
        ("MECHANISMS=pam\n. /etc/other", 2, "nothing is run here"),
        ("SOCKETDIR=/x", None, "MECH names no mechanism"),
        ("MECH=pam\nFLAGS=-O 'x", 2, "No closing quotation"),
        ("MECH=$X", 1, "write the value itself"),
    ],
)
def test_what_starts_nothing(text: str, line: int | None, said: str) -> None:
    with pytest.raises(ServiceFileError) as raised:
        read(text)
    assert raised.value.line == line
    assert said in str(raised.value)


@given(st.text(alphabet=st.sampled_from("MECHANISMSOPTIONS=\"'\n -cm/x$#"), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        arguments = read(f"{text}\nMECHANISMS=pam\n").arguments
    except ServiceFileError:
        return
    assert arguments[:2] == ("-a", "pam")
