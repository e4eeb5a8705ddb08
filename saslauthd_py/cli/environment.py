"""What a command has of the world outside: its streams, its variables and its terminal, as one value that tests make themselves."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, TextIO


@dataclass(frozen=True, slots=True)
class Environment:
    """`stdin` is bytes, since a secret is; `tty` is the path at which a person is asked, apart from the streams."""

    stdin: BinaryIO
    stdout: TextIO
    stderr: TextIO
    variables: Mapping[str, str]
    tty: str = "/dev/tty"

    @classmethod
    def of_process(cls) -> Environment:
        """This process's own. What its character set cannot show is escaped, so that a name never ends a command.

        A stream that was closed by whoever started it is as /dev/null.
        """
        _open_closed()
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        return cls(sys.stdin.buffer, sys.stdout, sys.stderr, os.environ)


def _open_closed() -> None:
    # The next file opened would get the free number, and whatever writes to standard error would write into it.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if None in (sys.stdin, sys.stdout, sys.stderr):  # closed when Python started
        null = open(os.devnull, "r+", encoding="utf-8")  # noqa: SIM115 - lives as long as the process
        sys.stdin, sys.stdout, sys.stderr = sys.stdin or null, sys.stdout or null, sys.stderr or null
