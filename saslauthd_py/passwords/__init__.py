"""Encodings of stored passwords: one scheme a file, one table, a handful of functions. Pure computation; no trio here."""

from saslauthd_py.passwords.encodings import (
    check_fits,
    clear_text,
    cost,
    cost_to_make,
    decoy,
    labelled,
    make,
    needs_rehash,
    recognise,
    strongest,
    verify,
)
from saslauthd_py.passwords.scheme import BrokenRecord, Cost, SecretTooLong, UnknownScheme
from saslauthd_py.passwords.table import DEFAULT_SCHEME, SCHEMES, SCRAM_SCHEMES, makeable, preload

__all__ = [
    "DEFAULT_SCHEME",
    "SCHEMES",
    "SCRAM_SCHEMES",
    "BrokenRecord",
    "Cost",
    "SecretTooLong",
    "UnknownScheme",
    "check_fits",
    "clear_text",
    "cost",
    "cost_to_make",
    "decoy",
    "labelled",
    "make",
    "makeable",
    "needs_rehash",
    "preload",
    "recognise",
    "strongest",
    "verify",
]
