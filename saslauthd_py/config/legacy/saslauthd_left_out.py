"""Keys of the original's saslauthd.conf that become no key here: they have no counterpart, or other keys make them meaningless."""

from __future__ import annotations

from collections.abc import Iterator

from saslauthd_py.config.legacy.saslauthd_lines import SWITCHES, WORDS, Lines, Note, number, switched

_NO_COUNTERPART = {
    "ldap_deref": "aliases are never followed here",
    "ldap_restart": "every wait has a deadline of its own here, and a connection that broke is made anew",
    "ldap_tls_cacert_dir": "there is no such key here: put the certificates into one file and name it in ca_file",
    "ldap_tls_cert": "the daemon has no certificate of its own: a server that asks for one must also take a password",
    "ldap_tls_key": "the daemon has no certificate of its own",
    "ldap_tls_ciphers": "the system's policy for TLS says which ciphers there are",
    "ldap_debug": "`test --trace` shows the steps of a login here",
    "ldap_authz_id": "there is no SASL bind but EXTERNAL here",
    "ldap_id": "there is no SASL bind but EXTERNAL here",
    "ldap_realm": "there is no SASL bind but EXTERNAL here",
    "ldap_sasl_secprops": "there is no SASL bind but EXTERNAL here",
}


def left_out(lines: Lines) -> Iterator[Note]:
    """A note for each of them that the file has, and why it is left out. Nothing of what says the same as silence does."""
    for key, why in (*_without_counterpart(lines), *_otherwise_here(lines), *_unused(lines)):
        if key in lines.entries:
            yield Note(lines.line(key), key, why)


def _without_counterpart(lines: Lines) -> Iterator[tuple[str, str]]:
    for key, why in _NO_COUNTERPART.items():
        value = lines.text(key)
        if value is None or (key in WORDS and lines.word(key) == WORDS[key][0]) or (key in SWITCHES and switched(value)):
            continue
        yield key, why


def _otherwise_here(lines: Lines) -> Iterator[tuple[str, str]]:
    if lines.on("ldap_referrals"):
        yield "ldap_referrals", "referrals are not followed here: name the servers that hold the users"
    version = lines.text("ldap_version")
    if version is not None and number(version) != 3:
        yield "ldap_version", "only version 3 is spoken here"
    if not lines.on("ldap_use_sasl"):
        yield "ldap_mech", "left out: ldap_use_sasl is not on"
    yield "ldap_default_realm", "is default_realm of [identity] here, for every backend, and %d has it too"


def _unused(lines: Lines) -> Iterator[tuple[str, str]]:
    for key, why in _meaningless(lines):
        yield key, f"left out: it has no meaning {why}, and the original did not look at it"


def _meaningless(lines: Lines) -> Iterator[tuple[str, str]]:
    method = lines.word("ldap_auth_method")
    if method != "custom":
        yield "ldap_password_attr", "without ldap_auth_method: custom"
    if method == "fastbind":
        yield "ldap_scope", "with ldap_auth_method: fastbind"
    grouped = {"ldap_group_dn", "ldap_group_filter"} & lines.entries.keys()
    by_filter = lines.word("ldap_group_match_method") == "filter" or grouped == {"ldap_group_filter"}
    if not grouped:
        yield "ldap_group_match_method", "without a group"
    if not grouped or not by_filter:
        yield "ldap_group_search_base", "without a group filter that is asked"
        yield "ldap_group_scope", "without a group filter that is asked"
    if not grouped or by_filter:
        yield "ldap_group_attr", "without an ldap_group_dn that is looked at"
    if by_filter:
        yield "ldap_group_dn", "beside a group filter"
