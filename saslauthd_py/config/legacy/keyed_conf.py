"""saslauthd.conf as the mechanisms other than ldap read it (`saslauthd/cfile.c`): of a key that is there twice, the first line counts."""

from __future__ import annotations

from collections.abc import Mapping

from saslauthd_py.config.legacy.saslauthd_lines import BLANKS, Note, Written, entry
from saslauthd_py.config.settings.values import suggestion


class ConfError(Exception):
    """A file that the original did not start with. One line, which follows the file's name."""


def read(text: str, prefix: str, known: frozenset[str]) -> tuple[Mapping[str, Written], tuple[Note, ...]]:
    """The keys that begin with `prefix`, and what is hardly meant about them. Raises ConfError.

    `known` are the keys that mean something; what begins otherwise is another mechanism's.
    """
    entries: dict[str, Written] = {}
    notes: list[Note] = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if line.lstrip(BLANKS)[:1] in ("", "#"):
            continue
        key, value, fault = entry(line)
        if fault:
            raise ConfError(f"{number}: {key}: {fault}" if key else f"{number}: {fault}")
        if not key.startswith(prefix):
            continue
        if key not in known:
            notes.append(Note(number, key, f"unknown key{suggestion(key, sorted(known))}, which the original passed over"))
        elif key in entries:
            notes.append(Note(number, key, f"stands in line {entries[key].line} too, and that line counts"))
        else:
            entries[key] = Written(value, number)
    return entries, tuple(notes)
