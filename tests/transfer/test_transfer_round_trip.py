"""What `export` writes, `import jsonl` reads back without a loss: another store then knows the same of the same accounts."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saslauthd_py.credential import UNRESTRICTED, Encoding, Kind, Restrictions, service_word
from saslauthd_py.identity import Identity, InvalidIdentity, key
from saslauthd_py.secret import Secret
from saslauthd_py.store import snapshot, staging
from saslauthd_py.store.incoming import Incoming, IncomingSecret, row_list
from saslauthd_py.store.merging import OnConflict, Wanted
from saslauthd_py.store.snapshot import Whole
from saslauthd_py.store.store import Store
from saslauthd_py.transfer import jsonl
from saslauthd_py.transfer.converting import Converter, Task
from saslauthd_py.transfer.formats import Block
from saslauthd_py.transfer.jsonl import Jsonl
from tests.transfer.files import APR1, ARGON2ID, SCRAM, SHA512, SSHA

ENCODINGS = tuple(
    Encoding(scheme, text)
    for scheme, text in (
        ("argon2id", ARGON2ID),
        ("apr1", APR1),
        ("ssha", SSHA),
        ("sha512crypt", SHA512),
        ("scram-sha-256", SCRAM),
        ("plain", "{PLAIN.b64}Z2VoZWlt"),
    )
)
NETWORKS = ("192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32", "0.0.0.0/0")


def valid(name: tuple[str, str]) -> bool:
    try:
        key(Identity(*name))
    except InvalidIdentity:
        return False
    return True


TIMES = st.floats(0, 4e12) | st.integers(0, 2**40).map(float)
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
NAMES = st.tuples(st.text(max_size=10), st.sampled_from(["", "example.org", "Example.ORG", "bücher.example", "localhost"])).filter(valid)
LIMITS = st.builds(
    Restrictions,
    st.lists(WORDS.map(service_word), max_size=2).map(tuple),
    st.lists(st.sampled_from(NETWORKS), max_size=2, unique=True).map(lambda some: tuple(map(ip_network, some))),
    st.none() | TIMES,
).map(lambda limits: UNRESTRICTED if limits.none else limits)


@st.composite
def secrets(draw: st.DrawFn) -> tuple[IncomingSecret, ...]:
    labels = draw(st.lists(WORDS, max_size=2, unique=True))
    kinds = [*([(Kind.MAIN, "")] if draw(st.booleans()) else []), *((Kind.APP, label) for label in labels)]
    drawn = []
    for kind, label in kinds:
        encodings = tuple(draw(st.lists(st.sampled_from(ENCODINGS), max_size=3, unique=True)))
        last_use = draw(st.none() | TIMES)
        times = (draw(TIMES), draw(TIMES), last_use)
        drawn.append(IncomingSecret(encodings, kind, label, draw(LIMITS), draw(st.booleans()), *times))
    return tuple(drawn)


ACCOUNTS = st.lists(
    st.builds(Incoming, NAMES.map(lambda name: Identity(*name)), secrets(), st.none() | WORDS | st.just(""), TIMES, TIMES),
    max_size=4,
    unique_by=lambda account: key(account.identity),
)


@contextmanager
def new_store() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="saslauthd-py-") as directory:
        path = os.path.join(directory, "store", "users.db")
        Store.open(path, create=True).close()
        yield path


def write(path: str, rows: list[Any], wanted: Wanted) -> None:
    with staging.opened(path) as staged:
        staged.put(rows)
        assert list(staged.repeated()) == []
        staged.write(wanted, lambda *_: None)


def known(path: str) -> tuple[Secret | None, list[Any]]:
    """All but numbers."""
    decoy_key, accounts = None, []
    for one in snapshot.accounts(path):
        if isinstance(one, Secret):
            decoy_key = one
            continue
        assert isinstance(one, Whole)
        credentials = [(replace(credential, id=0, generation=0), one.times[credential.id]) for credential in one.account.credentials]
        accounts.append((replace(one.account, id=0, credentials=()), credentials))
    return decoy_key, accounts


def export(path: str) -> list[str]:
    return list(jsonl.export(snapshot.accounts(path)))


def read_back(lines: list[str]) -> list[Any]:
    converted = Converter(Jsonl("not.used"), "argon2id").convert(Task(Block(2, "\n".join(lines[1:]).encode())))
    assert converted.complaints == []
    return converted.rows


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(ACCOUNTS)
def test_exported_accounts_are_the_same_in_another_store(accounts: list[Incoming]) -> None:
    with new_store() as first, new_store() as second:
        write(first, [row for line, account in enumerate(accounts, 1) for row in row_list(line, account)], Wanted())
        lines = export(first)
        assert all("\n" not in line for line in lines)
        decoy_key, everything = known(first)
        assert len(everything) == len(accounts)
        write(second, read_back(lines), Wanted(whole=True, decoy_key=decoy_key))
        again = known(second)
        assert again[1] == everything
        if accounts:
            assert again[0] == decoy_key
            assert export(second) == lines


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(ACCOUNTS, ACCOUNTS)
def test_exported_accounts_replace_whatever_had_their_names(accounts: list[Incoming], others: list[Incoming]) -> None:
    with new_store() as first, new_store() as second:
        for path, some in ((first, accounts), (second, others)):
            write(path, [row for line, account in enumerate(some, 1) for row in row_list(line, account)], Wanted())
        write(second, read_back(export(first)), Wanted(OnConflict.REPLACE, whole=True))
        keys = {key(account.identity) for account in accounts}
        assert [one for one in known(second)[1] if key(one[0].identity) in keys] == known(first)[1]
        assert len(known(second)[1]) == len(keys | {key(account.identity) for account in others})


def test_account_is_one_line_that_says_only_what_is_there() -> None:
    with new_store() as path:
        secret = IncomingSecret((Encoding("argon2id", ARGON2ID),), created=1.5, changed=2.5)
        write(path, row_list(1, Incoming(Identity("alice", "Example.org"), (secret,), None, 3.5, 4.5)), Wanted())
        header, line = export(path)
    assert header.startswith('{"saslauthd-py accounts": 1, "decoy_key": "')
    assert line == (
        '{"name": "alice", "realm": "Example.org", "created": 3.5, "changed": 4.5, "passwords": '
        f'[{{"kind": "main", "encodings": {{"argon2id": "{ARGON2ID}"}}, "created": 1.5, "changed": 2.5}}]}}'
    )
