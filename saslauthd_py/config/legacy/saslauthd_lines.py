"""The lines of the original's saslauthd.conf, taken apart as it does, with a note wherever it was silent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from saslauthd_py.config.settings.values import quoted, suggestion

BLANKS = " \t\n\v\f\r"
_MAX_LINE = 4094
"""Bytes: what is longer the original read as two lines."""

_KEY = re.compile(r"([A-Za-z0-9_-]*)(:?)")

SYNONYMS = {
    "ldap_bind_pw": "ldap_password",
    "ldap_default_domain": "ldap_default_realm",
    "ldap_sasl_authc_id": "ldap_id",
    "ldap_sasl_authz_id": "ldap_authz_id",
    "ldap_sasl_realm": "ldap_realm",
    "ldap_sasl_mech": "ldap_mech",
}

LIMITS = {
    "ldap_servers": 1023,
    "ldap_bind_dn": 4095,
    "ldap_password": 127,
    "ldap_search_base": 4095,
    "ldap_filter": 4095,
    "ldap_password_attr": 127,
    "ldap_default_realm": 127,
    "ldap_group_dn": 4095,
    "ldap_group_attr": 127,
    "ldap_group_filter": 127,
    "ldap_group_search_base": 127,
    "ldap_id": 127,
    "ldap_authz_id": 127,
    "ldap_realm": 127,
    "ldap_mech": 127,
    "ldap_sasl_secprops": 127,
    "ldap_tls_cacert_file": 1023,
    "ldap_tls_cacert_dir": 1023,
    "ldap_tls_cert": 1023,
    "ldap_tls_key": 1023,
    "ldap_tls_ciphers": 127,
}
"""Keys of texts, and how many bytes of one the original kept."""

SWITCHES = frozenset({"ldap_referrals", "ldap_restart", "ldap_use_sasl", "ldap_start_tls", "ldap_tls_check_peer"})
NUMBERS = frozenset({"ldap_timeout", "ldap_time_limit", "ldap_size_limit", "ldap_version", "ldap_debug"})
WORDS = {
    "ldap_auth_method": ("bind", "custom", "fastbind"),
    "ldap_scope": ("sub", "one", "base"),
    "ldap_group_scope": ("sub", "one", "base"),
    "ldap_group_match_method": ("attr", "filter"),
    "ldap_deref": ("never", "search", "find", "always"),
}
"""Keys of one word, and the words; the first is the default."""

KEYS = frozenset(LIMITS) | SWITCHES | NUMBERS | frozenset(WORDS) | frozenset(SYNONYMS)


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody who moves should know. `line` counts from 1, None: none in particular; `key` as the original calls it."""

    line: int | None
    key: str
    text: str

    def __str__(self) -> str:
        told = f"{self.key}: {self.text}" if self.key else self.text
        return told if self.line is None else f"{self.line}: {told}"


@dataclass(frozen=True, slots=True)
class Written:
    """A value and its line."""

    value: str
    line: int


@dataclass(frozen=True, slots=True)
class Lines:
    """What the file says. `entries` are by the key that is no synonym; `faults`: why the original would have refused every login."""

    entries: Mapping[str, Written]
    notes: tuple[Note, ...]
    faults: tuple[Note, ...]

    def text(self, key: str) -> str | None:
        """The value as it is written."""
        return self.entries[key].value if key in self.entries else None

    def line(self, key: str) -> int | None:
        return self.entries[key].line if key in self.entries else None

    def on(self, key: str) -> bool:
        """A switch; one that is not there is off."""
        value = self.text(key)
        return value is not None and switched(value)

    def word(self, key: str) -> str:
        """The word of a key in WORDS; where it is not there, the default."""
        return word(key, self.text(key) or WORDS[key][0])


def read_lines(text: str) -> Lines:
    """The entries of a file. A key that is there twice has its last value, as in the original."""
    entries: dict[str, Written] = {}
    notes: list[Note] = []
    faults: list[Note] = []
    if "\r\n" in text:
        notes.append(Note(None, "", "its lines end as on Windows, which the original took into the values; here they are left out"))
        text = text.replace("\r\n", "\n")
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.lstrip(BLANKS)
        if not stripped or stripped.startswith("#"):
            continue
        key, value, fault = entry(line)
        if fault:
            faults.append(Note(number, key, fault))
            continue
        key = SYNONYMS.get(key, key)
        if key not in KEYS:
            notes.append(
                Note(number, key, f"unknown key{suggestion(key, sorted(KEYS))}, which the original passed over, or refused since 2.2")
            )
            continue
        if key in entries:
            notes.append(Note(number, key, f"stands in line {entries[key].line} too, and this line counts"))
        notes += (Note(number, key, told) for told in _silences(key, value))
        entries[key] = Written(value, number)
    return Lines(entries, tuple(notes), tuple(faults))


def entry(line: str) -> tuple[str, str, str]:
    """Key and value of a line, or the key and why there is none; for a line that is neither blank nor a comment."""
    stripped = line.lstrip(BLANKS)
    found = _KEY.match(stripped)
    key, colon = (found[1].lower(), found[2]) if found else ("", "")
    if not colon:
        return key, "", "must be a key, a colon right after it, and a value: the original refused every login for this line"
    if "\0" in line or len(line.encode(errors="replace")) > _MAX_LINE:
        return key, "", f"has a NUL or over {_MAX_LINE} bytes: the original did not read the whole line"
    value = stripped[len(key) + 1 :].lstrip(BLANKS)
    return (key, value, "") if value else (key, "", "has no value: the original refused every login for this line")


def switched(value: str) -> bool:
    """A yes or no as the original took it: by its first letters, in lower case alone, and anything else is a no."""
    return value.startswith(("1", "y", "on", "t"))


def number(value: str) -> int:
    """A number as the original took it: the digits at its beginning, 0 where there are none."""
    digits = re.match(r"-?[0-9]+", value)
    return int(digits[0]) if digits else 0


def word(key: str, value: str) -> str:
    """The word of a key in WORDS as the original took it, which passed over what it did not know."""
    return value.lower() if value.lower() in WORDS[key] else WORDS[key][0]


def _silences(key: str, value: str) -> Iterator[str]:
    shown = "the value" if key == "ldap_password" else quoted(value)
    if key in SWITCHES and switched(value.lower()) != switched(value):
        yield f"{shown} was a no for the original, which knows lower case alone, and is one here: is {quoted(value.lower())} meant?"
    elif key in SWITCHES and value.rstrip(BLANKS).lower() not in _PLAIN_SWITCHES:
        yield f"{shown} is no yes or no; the original took it for a {'yes' if switched(value) else 'no'}"
    if key in NUMBERS and not re.fullmatch(r"-?[0-9]+", value.rstrip(BLANKS)):
        yield f"{shown} is no number; the original took it for {number(value)}"
    if key in WORDS and value.lower() not in WORDS[key]:
        known = ", ".join(WORDS[key])
        yield f"{shown} is none of {known}, and the original passed over it: {word(key, value)} counts{_blank_end(value)}"
    limit = LIMITS.get(key)
    if limit is not None and len(value.encode(errors="replace")) > limit:
        yield f"has over {limit} bytes, and the original cut it there; here all of it counts"
    if limit is not None and value[-1] in BLANKS:
        yield "ends in a blank, which is part of the value, here as in the original"
    if limit is not None and len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        yield "stands in quotes, which are part of the value, here as in the original"


def _blank_end(value: str) -> str:
    return " (there is a blank at its end)" if value[-1] in BLANKS else ""


_PLAIN_SWITCHES = frozenset({"yes", "no", "on", "off", "true", "false", "1", "0", "y", "n", "t", "f"})
