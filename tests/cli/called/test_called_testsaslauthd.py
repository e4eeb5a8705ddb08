"""Called as testsaslauthd, beside the real one: the same bytes sent, the same words and exit codes."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from saslauthd_py.cli import called
from saslauthd_py.cli.environment import Environment
from tests.cli.commands import NO_TERMINAL, PATIENCE
from tests.cli.peers import Reply, answering

USAGE = "testsaslauthd: usage: testsaslauthd -u username"
OK, NO = b"\0\2OK", b"\0\2NO"


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


def ours(*arguments: str, stdin: bytes = b"") -> Outcome:
    out, err = io.StringIO(), io.StringIO()
    code = called.run("testsaslauthd", arguments, Environment(io.BytesIO(stdin), out, err, os.environ, NO_TERMINAL))
    return Outcome(code, out.getvalue(), err.getvalue())


def original(*arguments: str) -> Outcome:
    done = subprocess.run(["testsaslauthd", *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False)
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.mark.peer("testsaslauthd")
@pytest.mark.parametrize(
    ("replies", "flags", "code", "out", "err"),
    [
        pytest.param([OK], [], 0, '0: OK "Success."\n', "", id="ok"),
        pytest.param([b"\0\4OKxx"], [], 0, '0: OK "Success."\n', "", id="ok with text"),
        pytest.param([NO], [], 255, '0: NO "authentication failed"\n', "", id="no"),
        pytest.param([b"\0\2XX"], [], 255, '0: NO "authentication failed"\n', "", id="neither"),
        pytest.param([(b"\0", b"\2O", b"K")], [], 0, '0: OK "Success."\n', "", id="in pieces"),
        pytest.param([b""], [], 255, "0: ", "size read failed\n", id="closed"),
        pytest.param([b"\0"], [], 255, "0: ", "size read failed\n", id="half a size"),
        pytest.param([b"\0\1O"], [], 255, "0: ", "bad response from saslauthd\n", id="too short"),
        pytest.param([b"\4\0OK"], [], 255, "0: ", "read failed\n", id="not whole"),
        pytest.param([b"\7\0OK" + b"x" * 2000], [], 0, '0: OK "Success."\n', "", id="longer than libsasl reads"),
        pytest.param([OK, NO], ["-R", "2"], 255, '0: OK "Success."\n1: NO "authentication failed"\n', "", id="the last one counts"),
        pytest.param([NO, OK], ["-R", "2"], 0, '0: NO "authentication failed"\n1: OK "Success."\n', "", id="the last one is right"),
        pytest.param([OK], ["-R", "0"], 0, '0: OK "Success."\n', "", id="no times is once"),
        pytest.param([OK], ["-R", "x"], 0, '0: OK "Success."\n', "", id="no number is once"),
        pytest.param([OK, NO], ["-R", " 2x"], 255, '0: OK "Success."\n1: NO "authentication failed"\n', "", id="digits to begin with"),
        pytest.param([], ["-R", "-1"], 0, "", "", id="less than no times"),
        pytest.param([OK], ["operand"], 0, '0: OK "Success."\n', "", id="operands are passed over"),
    ],
)
def test_words_and_codes(tmp_path: Path, replies: list[Reply], flags: list[str], code: int, out: str, err: str) -> None:
    received = []
    for name, program in (("original", original), ("ours", ours)):
        place = tmp_path / name
        place.mkdir()
        with answering(place, *replies) as peer:
            assert program("-u", "a@b", "-p", "p w", "-r", "r", "-s", "s", "-f", peer.path, *flags) == (code, out, err), name
        received.append(peer.received)
    assert received[0] == received[1] == [b"\0\3a@b\0\3p w\0\1s\0\1r"] * len(replies)


@pytest.mark.peer("testsaslauthd")
@pytest.mark.parametrize("program", [original, ours])
def test_nobody_there(tmp_path: Path, program: Callable[..., Outcome]) -> None:
    asked = ["-u", "a", "-p", "b", "-R", "2", "-f"]
    told = "connect() : No such file or directory\n"
    assert program(*asked, f"{tmp_path}/none") == (255, "0: 1: ", told * 2)
    assert program(*asked, f"{tmp_path}")[1:] == ("0: 1: ", told.replace("No such file or directory", "Connection refused") * 2)


@pytest.mark.peer("testsaslauthd")
@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        ([], USAGE),
        (["-p", "x"], USAGE),
        (["-h"], "testsaslauthd: invalid option -- 'h'"),
        (["-u"], "testsaslauthd: option requires an argument -- 'u'"),
    ],
)
def test_wrong_command_lines(arguments: list[str], first: str) -> None:
    for program in (original, ours):
        found = program(*arguments)
        assert (found.code, found.out) == (1, "")
        assert found.err.startswith(first)
        assert USAGE in found.err


def test_password_by_standard_input(tmp_path: Path) -> None:
    with answering(tmp_path, OK) as peer:
        assert ours("-u", "a", "-f", peer.path, stdin=b" p w\nmore\n").code == 0
    assert [request.secret.reveal() for request in peer.requests] == [b" p w"]


def test_names_go_as_the_bytes_that_they_are_and_the_address_as_a_fifth_field(tmp_path: Path) -> None:
    with answering(tmp_path, OK) as peer:
        odd = b"\xff\xfc".decode(errors="surrogateescape")
        assert ours("-u", odd, "-p", odd, "-a", "192.0.2.1;25", "-f", peer.path).code == 0
    (request,) = peer.requests
    assert (request.login, request.secret.reveal(), request.service, request.client) == (b"\xff\xfc", b"\xff\xfc", b"imap", b"192.0.2.1;25")


def test_what_the_protocol_cannot_carry_is_told_and_never_cut(tmp_path: Path) -> None:
    found = ours("-u", "a" * 65536, "-p", "b", "-f", f"{tmp_path}/none")
    assert (found.code, found.out) == (255, "0: ")
    assert "65535 bytes" in found.err


def test_path_over_the_length_of_a_sockets_is_told(tmp_path: Path) -> None:
    found = ours("-u", "a", "-p", "b", "-f", f"{tmp_path}/{'x' * 200}")
    assert (found.code, found.out, found.err.startswith("connect() : ")) == (255, "0: ", True)
