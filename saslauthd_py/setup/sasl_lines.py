"""libsasl's options in a file, `key: value` a line, as smtpd.conf and imapd.conf have them: some set, all other lines as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping

_KEY = re.compile(r"\s*(?P<key>[A-Za-z0-9_.-]+)\s*:")
MECHANISMS = frozenset({"PLAIN", "LOGIN"})
"""What can be decided by asking a daemon for a password."""


def edited(text: str, wanted: Mapping[str, str]) -> str:
    """`text` with these options: on the line that counts, the first with that key (in any case), else at the end."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    missing = dict(wanted)
    for place, line in enumerate(lines):
        found = _KEY.match(line)
        key = found["key"].lower() if found is not None and not line.lstrip().startswith("#") else ""
        if key in missing:
            lines[place] = f"{key}: {missing.pop(key)}\n"
    if lines and missing and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return "".join((*lines, *(f"{key}: {value}\n" for key, value in missing.items())))


def differing(options: Mapping[str, str], method: str, path: str, prefix: str = "") -> dict[str, str]:
    """What has to be said, with `prefix` before each key, for the daemon at `path` to be asked, and nothing offered that it cannot do.

    `method` and `path` are the values of pwcheck_method and saslauthd_path; `options` those that are there.
    """
    wanted = {f"{prefix}pwcheck_method": method, f"{prefix}saslauthd_path": path}
    offered = set(options.get(f"{prefix}mech_list", "").upper().split())
    if not offered or not offered <= MECHANISMS:
        wanted[f"{prefix}mech_list"] = "PLAIN LOGIN"
    return {key: value for key, value in wanted.items() if options.get(key) != value}
