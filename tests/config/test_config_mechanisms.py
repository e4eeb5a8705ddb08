"""A listener that names SCRAM, and the backends behind it: who is offered it must be able to log in by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from saslauthd_py.config.load import check, parse
from tests.config.samples import complaints

LISTEN = '[[listen]]\nprotocol = "dovecot"\npath = "/run/a"\nmechanisms = ["PLAIN", "SCRAM-SHA-256"]\n'
STORE = '[backend.users]\ntype = "store"\n'
PAM = '[backend.system]\ntype = "pam"\n'
FILE = '[backend.file]\ntype = "passwd_file"\npath = "/etc/users"\n'
DECOY = 'decoy_key = "0123456789abcdef0123456789abcdef"\n'


def route(*backends: str, listener: str = "*") -> str:
    names = ", ".join(f'"{name}"' for name in backends)
    return f'[[route]]\nrealm = ["example.org"]\nlistener = "{listener}"\nbackends = [{names}]\n'


@pytest.mark.parametrize(
    "text",
    [
        LISTEN + STORE + route("users"),
        LISTEN + FILE + DECOY + route("file"),
        LISTEN
        + STORE
        + PAM
        + route("users")
        + route("system", listener="/run/b")
        + LISTEN.replace("/run/a", "/run/b").replace("SCRAM-SHA-256", "LOGIN"),
        LISTEN.replace(', "SCRAM-SHA-256"', "") + PAM + route("system"),
    ],
)
def test_who_has_keys_may_be_offered_scram(text: str) -> None:
    assert len(parse(text, "").listen) >= 1


def test_scram_where_nobody_has_keys_is_an_error() -> None:
    assert complaints(LISTEN + PAM + route("system")) == [
        (
            '4: listen[0].mechanisms: SCRAM is named, and no backend of this listener\'s routes has keys ("system", pam): a mail program '
            "takes the strongest mechanism, and believes its password wrong when that fails"
        )
    ]


def test_f3_scram_over_a_file_without_a_decoy_key_is_an_error() -> None:
    assert complaints(LISTEN + FILE + route("file")) == [
        (
            "5: backend.file: listen[0] names SCRAM, and unknown names would be told from those in this file: set decoy_key_file "
            "(`openssl rand -hex 32` makes one)"
        )
    ]


def test_scram_where_some_have_no_keys_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(LISTEN + STORE + PAM + route("users", "system"))
    (problem,) = [str(problem).removeprefix(f"{file}:") for problem in check(str(file)).warnings]
    assert problem.startswith('4: listen[0].mechanisms: SCRAM is named, and whoever is in "system", pam has no keys: a mail program takes ')
