"""The original's /etc/saslauthd.conf (`saslauthd -a ldap`), as keys of a `[backend.NAME]` with `type = "ldap"`.

It says the same as the file did, and where the original was silent about what it made of a line, a note says so. What has no
counterpart here is a note too, or, where it would change who may log in, a fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from saslauthd_py.config.legacy.saslauthd_left_out import left_out
from saslauthd_py.config.legacy.saslauthd_lines import Lines, Note, number, read_lines
from saslauthd_py.config.settings.tokens import GROUP_TOKENS, LOGIN_TOKENS
from saslauthd_py.config.settings.values import quoted
from saslauthd_py.secret import Secret

_DEFAULT_SERVERS = "ldap://localhost/"
_DEFAULT_FILTER = "(uid=%u)"
_DEFAULT_GROUP_ATTRIBUTE = "uniqueMember"
_METHODS = {"bind": "bind", "custom": "compare", "fastbind": "template"}
_DEFAULT_TIMEOUT = 5
_MAX_TIMEOUT = 60
_REALM = re.compile(r"%[dr1-9]")
_PERCENT = re.compile(r"%(.?)", re.DOTALL)


class SaslauthdConfError(Exception):
    """A file that cannot be taken over: the original refused every login for it, or it asks for what is not there; all faults."""

    def __init__(self, faults: tuple[Note, ...]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class SaslauthdConf:
    """`keys` are those of the backend that differ from the defaults, without `type` and the password.

    `default_realm` belongs into `[identity]`, empty: none was named. `notes` are in the order of the file. `password_line` counts from 1.
    """

    keys: Mapping[str, Any]
    password: Secret | None
    default_realm: str
    notes: tuple[Note, ...]
    password_line: int | None = None

    def table(self) -> dict[str, Any]:
        """A whole table, as a configuration file would have it, with the password in line: for validation, never to be shown."""
        table = {"type": "ldap", **self.keys}
        return table if self.password is None else {**table, "password": self.password.reveal().decode()}


def read(text: str, *, whole_logins: bool = False) -> SaslauthdConf:
    """What a file says, decoded with "surrogateescape": a password may be of any bytes. Raises SaslauthdConfError.

    `whole_logins`: the original got logins with their realm in them, by its flag -r or from a client that does not split them (Exim);
    then %u stays %u, else it was the local part alone, which is %U.
    """
    lines = read_lines(text)
    conversion = _Conversion(lines, whole_logins)
    keys = conversion.keys()
    faults = (*lines.faults, *conversion.faults)
    if faults:
        raise SaslauthdConfError(tuple(sorted(faults, key=_place)))
    notes = tuple(sorted((*lines.notes, *conversion.notes), key=_place))
    password = lines.text("ldap_password") if "bind_dn" in keys else None
    default_realm = lines.text("ldap_default_realm") or ""
    if not password:
        return SaslauthdConf(keys, None, default_realm, notes)
    secret = Secret(password.encode("utf-8", "surrogateescape"))
    return SaslauthdConf(keys, secret, default_realm, notes, lines.line("ldap_password"))


def _place(note: Note) -> int:
    return note.line or 0


class _Conversion:
    """One file's keys, one group of them after the other."""

    def __init__(self, lines: Lines, whole_logins: bool) -> None:
        self.notes: list[Note] = []
        self.faults: list[Note] = []
        self._lines = lines
        self._whole_logins = whole_logins

    def keys(self) -> dict[str, Any]:
        keys: dict[str, Any] = {"servers": self._servers()}
        self._connection(keys)
        self._method(keys)
        self._bind_identity(keys)
        self._search(keys)
        self._group(keys)
        self._timeout(keys)
        self.notes += left_out(self._lines)
        return keys

    def _note(self, key: str, text: str) -> None:
        self.notes.append(Note(self._lines.line(key), key, text))

    def _fault(self, key: str, text: str) -> None:
        self.faults.append(Note(self._lines.line(key), key, text))

    def _servers(self) -> list[str]:
        servers = re.split(r"[ ,]+", (self._lines.text("ldap_servers") or _DEFAULT_SERVERS).strip())
        return [re.sub(r"^(ldaps?://)(?=[:/]|$)", r"\1localhost", server, flags=re.IGNORECASE) for server in servers if server]

    def _connection(self, keys: dict[str, Any]) -> None:
        if self._lines.on("ldap_start_tls"):
            keys["start_tls"] = True
        tls = "start_tls" in keys or any(server.lower().startswith("ldaps://") for server in keys["servers"])
        unchecked = "ldap_tls_check_peer" in self._lines.entries and not self._lines.on("ldap_tls_check_peer")
        file = self._lines.text("ldap_tls_cacert_file")
        if tls and unchecked:
            keys["verify"] = False
            self._note("ldap_tls_check_peer", "no certificate was checked, and none is here: leave `verify` out to have them checked")
        if file is not None and tls and not unchecked:
            keys["ca_file"] = file
        elif file is not None:
            self._note("ldap_tls_cacert_file", "left out: there is no TLS, or no certificate is checked")

    def _method(self, keys: dict[str, Any]) -> None:
        method = _METHODS[self._lines.word("ldap_auth_method")]
        if self._lines.on("ldap_use_sasl"):
            external = (self._lines.text("ldap_mech") or "").upper() == "EXTERNAL"
            over_sockets = all(server.lower().startswith("ldapi://") for server in keys["servers"])
            if method != "compare" or not external or not over_sockets:
                self._fault("ldap_use_sasl", "users are bound by SASL, which is not done here: say no, and users bind by DN and password")
                return
            keys["sasl_external"] = True
        if method != "bind":
            keys["method"] = method

    def _bind_identity(self, keys: dict[str, Any]) -> None:
        name, password = self._lines.text("ldap_bind_dn"), self._lines.text("ldap_password")
        if "sasl_external" in keys:
            name = None
        if name is not None and password is not None:
            keys["bind_dn"] = name
        elif name is not None:
            self._note("ldap_bind_dn", "left out: without ldap_password the server took such a bind for nobody's; searches are anonymous")
        elif password is not None:
            self._note("ldap_password", "left out: there is no ldap_bind_dn that it could be the password of")

    def _search(self, keys: dict[str, Any]) -> None:
        base, written = self._template("ldap_search_base"), self._template("ldap_filter") or self._tokens("ldap_filter", _DEFAULT_FILTER)
        attribute = self._lines.text("ldap_password_attr")
        if keys.get("method") == "template":
            keys["dn_template"] = written
            return
        keys["base"] = base or ""
        if self._lines.word("ldap_scope") != "sub":
            keys["scope"] = self._lines.word("ldap_scope")
        if "ldap_filter" in self._lines.entries or self._whole_logins:
            keys["filter"] = _in_parentheses(written)
        if attribute is not None and keys.get("method") == "compare":
            keys["password_attribute"] = attribute

    def _group(self, keys: dict[str, Any]) -> None:
        group, by_filter = self._template("ldap_group_dn"), self._template("ldap_group_filter", GROUP_TOKENS)
        if group is None and by_filter is None:
            return
        matches = self._lines.word("ldap_group_match_method")
        if matches == "attr" and group is None:
            self._note(
                "ldap_group_filter", "without ldap_group_match_method: filter the original refused every login; here the filter is asked"
            )
        if matches == "filter" and by_filter is None:
            self._fault(
                "ldap_group_match_method", "there is no ldap_group_filter, so the original refused every login: add it, or say attr"
            )
        elif matches == "filter" or group is None:
            self._group_search(keys, by_filter or "")
        else:
            keys["group_dn"] = group
            keys["group_attribute"] = self._lines.text("ldap_group_attr") or _DEFAULT_GROUP_ATTRIBUTE
        if by_filter is not None and "group_dn" in keys:
            self._note("ldap_group_filter", "left out: ldap_group_match_method is attr, and the original did not look at it")
        if keys.get("method") == "template":
            who = "as ldap_bind_dn" if "bind_dn" in keys else "anonymously, which may need an ldap_bind_dn"
            self._note("ldap_auth_method", f"the group is looked at {who}, before the password; the original did as the user who logs in")

    def _group_search(self, keys: dict[str, Any], by_filter: str) -> None:
        keys["group_filter"] = _in_parentheses(by_filter)
        base = self._template("ldap_group_search_base", GROUP_TOKENS)
        if base is None and keys.get("method") == "template":
            base = self._template("ldap_search_base") or ""
        if base is not None:
            keys["group_base"] = base
        if self._lines.word("ldap_group_scope") != "sub":
            keys["group_scope"] = self._lines.word("ldap_group_scope")

    def _timeout(self, keys: dict[str, Any]) -> None:
        seconds = number(self._lines.text("ldap_timeout") or str(_DEFAULT_TIMEOUT))
        if not 0 < seconds <= _MAX_TIMEOUT:
            kept = _MAX_TIMEOUT if seconds > _MAX_TIMEOUT else _DEFAULT_TIMEOUT
            self._note("ldap_timeout", f"must be 1 to {_MAX_TIMEOUT} seconds here: {kept} counts")
            seconds = kept
        if seconds != _DEFAULT_TIMEOUT:
            keys["timeout"] = f"{seconds}s"
        limit = self._lines.text("ldap_time_limit")
        if limit is not None and number(limit) != seconds:
            self._note("ldap_time_limit", f"there is one limit here for server and client, timeout: {seconds}s")
        size = self._lines.text("ldap_size_limit")
        if size is not None and number(size) != 1:
            self._note(
                "ldap_size_limit", "two entries for one login are always an error here, told as one; groups may be as many as there are"
            )

    def _template(self, key: str, known: frozenset[str] = LOGIN_TOKENS) -> str | None:
        value = self._lines.text(key)
        return None if value is None else self._tokens(key, value, known)

    def _tokens(self, key: str, text: str, known: frozenset[str] = LOGIN_TOKENS) -> str:
        """The template with the tokens that mean the same here, and without those that meant nothing."""

        def here(token: re.Match[str]) -> str:
            if token[1] == "u" and not self._whole_logins:
                return "%U"
            if token[1] == "%" or (token[1] and token[1] in known):
                return token[0]
            self._note(key, f"{quoted(token[0])} meant nothing to the original, which left it out, as is done here")
            return ""

        if "%u" in text and not self._whole_logins and key in self._lines.entries:
            self._note(key, "%u is %U now, the local part: what Postfix and Cyrus IMAP send; write %u for clients that send whole names")
        if _REALM.search(text):
            self._note(key, "a login without a realm is refused here, where the original put nothing in its place; %d is the realm, too")
        return _PERCENT.sub(here, text)


def _in_parentheses(text: str) -> str:
    return text if text.lstrip().startswith("(") else f"({text})"
