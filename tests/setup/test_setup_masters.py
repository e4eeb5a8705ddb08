"""Which process is told to take a new configuration: that of this mail server, and no other that is called alike."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from saslauthd_py.setup.reloading import Master

NAME = "sapy-master"


@contextmanager
def running(directory: Path, *arguments: str) -> Iterator[int]:
    """A process of that name with those arguments."""
    program = directory / NAME
    if not program.exists():
        program.symlink_to("/bin/sh")
    with subprocess.Popen([program, "-c", "echo; read line", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.mark.parametrize(("arguments", "taken"), [(("-d",), True), (("-C", "/etc/imapd.conf"), True), (("-C", "/etc/other"), False)])
def test_without_a_flag_it_has_the_usual_configuration(tmp_path: Path, arguments: tuple[str, ...], taken: bool) -> None:
    """Red Hat's unit starts cyrus-master without -C, Debian's with it."""
    master = Master(names=(NAME,), configurations=("/etc/imapd.conf", ""))
    with running(tmp_path, *arguments) as pid:
        assert master.find() == (pid if taken else None)
        assert Master(names=(NAME,)).find() == (pid if arguments == ("-d",) else None)


def test_a_pid_file_counts_where_the_process_has_the_name(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    with running(tmp_path) as first, running(tmp_path) as second:
        file.write_text(f"{second}\n")
        assert Master(str(file), (NAME,)).find() == second
        file.write_text(f"{os.getpid()}\n")
        assert Master(str(file), (NAME,)).find() == first, "the number has become somebody else's"
        assert Master(str(file)).find() == os.getpid()
    for nonsense in ("", "0\n", "-1\n", "x"):
        file.write_text(nonsense)
        assert Master(str(file)).find() is None
