"""Our own side: the configuration that there is, and the listener that it may lack."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from saslauthd_py.config.settings import Listen, Settings
from saslauthd_py.setup import files
from saslauthd_py.setup.steps import Written, written


class Refused(Exception):
    """This machine cannot be set up so. Its text is one line: why, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Site:
    """The configuration in the file `path`."""

    path: str
    settings: Settings
    text: str = field(repr=False)

    def listens(self, protocol: str) -> tuple[Listen, ...]:
        """Its listeners at paths, of a protocol."""
        return tuple(one for one in self.settings.listen if one.path is not None and one.protocol == protocol)

    def with_listener(self, table: str) -> tuple[Written, ...]:
        """The file with one more listener at its end. Raises OSError."""
        found = files.read(os.path.realpath(self.path)) or b""
        was = found if found.decode("utf-8-sig", "replace") == self.text else self.text.encode()
        space = "\n" if self.text.endswith("\n") else "\n\n"
        step = written(self.path, was + f"{space}{table}".encode(), was)
        return (step,) if step is not None else ()


def listener(purpose: str, protocol: str, path: str, user: str, group: str) -> str:
    """The TOML of a [[listen]] that this user and group alone may ask. Raises Refused: no such name can be written."""
    for value in (path, user, group):
        if not value.isprintable() or '"' in value or "\\" in value:
            raise Refused(f"{value!r}: this can stand in no configuration: set it up by hand")
    lines = (f"# {purpose}", "[[listen]]", f'protocol = "{protocol}"', f'path = "{path}"', f'user = "{user}"', f'group = "{group}"')
    return "\n".join((*lines, 'mode = "0660"', ""))
