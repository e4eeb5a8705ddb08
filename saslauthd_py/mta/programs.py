"""Programs of the machine that tell how it is set up: run without a shell, without input, and for a few seconds at most."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

SECONDS = 3.0

_SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
"""Not the caller's PATH: these run as root."""


class Unreadable(Exception):
    """How something is set up cannot be told. Its text is one line: what was asked, what it said."""


def find(name: str) -> str | None:
    """The program of that name, where the system keeps such; a path stands for itself."""
    return shutil.which(name, path=_SEARCH_PATH)


def output(command: Sequence[str]) -> str:
    """What it prints. Raises Unreadable: it is not there, complains, or takes over SECONDS."""
    words = " ".join(command)
    variables = {"PATH": _SEARCH_PATH, "LC_ALL": "C", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - the system's own programs
            command, env=variables, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unreadable(f"`{words}` does not end within {SECONDS:g} s") from None
    except OSError as error:
        raise Unreadable(f"`{words}`: {(error.strerror or str(error)).lower()}") from None
    if done.returncode:
        raise Unreadable(f"`{words}`: {_complaint(done.stderr) or f'exit code {done.returncode}'}")
    return done.stdout.decode(errors="surrogateescape")


def _complaint(text: bytes) -> str:
    """In one line."""
    return " ".join(text.decode(errors="backslashreplace").split())[:300]
