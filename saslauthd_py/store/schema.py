"""The tables of `users.db`: plain SQL, numbered by `PRAGMA user_version`. A step that has been released is never edited; add one after it.

Rows are found by folded keys and keep the name as it was given (rule B5). AUTOINCREMENT: an id is never given twice (rule F4), so
that neither a rehash nor a line of `usage.db` can meet a later secret.
"""

from __future__ import annotations

APPLICATION_ID = int.from_bytes(b"SaPy")
"""Marks the file as ours; any other SQLite file is refused."""

CHANGES_KEPT = 4096
"""Rows of `change` that a writer leaves. A daemon whose last look is further back takes every account as changed."""

_TABLES = (
    """
    CREATE TABLE store (
        id TEXT NOT NULL
    ) STRICT
    """,
    "INSERT INTO store VALUES (lower(hex(randomblob(16))))",
    """
    CREATE TABLE identity (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        local TEXT NOT NULL,
        realm TEXT NOT NULL,
        local_key TEXT NOT NULL,
        realm_key TEXT NOT NULL,
        locked TEXT,
        created REAL NOT NULL,
        changed REAL NOT NULL,
        UNIQUE (realm_key, local_key)
    ) STRICT
    """,
    # A main secret has no label, so this one index also sees to it that an identity has no second one.
    """
    CREATE TABLE secret (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        identity INTEGER NOT NULL REFERENCES identity ON DELETE CASCADE,
        kind TEXT NOT NULL CHECK (kind IN ('main', 'app')),
        label TEXT NOT NULL CHECK ((kind = 'main') = (label = '')),
        services TEXT NOT NULL,
        networks TEXT NOT NULL,
        expires REAL,
        disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),
        generation INTEGER NOT NULL,
        created REAL NOT NULL,
        changed REAL NOT NULL
    ) STRICT
    """,
    "CREATE UNIQUE INDEX secret_label ON secret (identity, kind DESC, label)",
    # The profile of a main secret only, and only where its cost could be read: what a decoy is chosen by (rule D6).
    """
    CREATE TABLE encoding (
        secret INTEGER NOT NULL REFERENCES secret ON DELETE CASCADE,
        scheme TEXT NOT NULL,
        profile TEXT,
        text TEXT NOT NULL,
        PRIMARY KEY (secret, scheme)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX encoding_profile ON encoding (profile) WHERE profile IS NOT NULL",
    # `mark` tells a history from another one with the same ids: a copy put back over this file, and changed since.
    """
    CREATE TABLE change (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        mark INTEGER NOT NULL DEFAULT (random()),
        local TEXT NOT NULL,
        realm TEXT NOT NULL
    ) STRICT
    """,
    "INSERT INTO change (local, realm) VALUES ('', '')",
)


def _triggers() -> dict[str, str]:
    """Every row written names its account, whoever writes: a shell as well as our commands."""
    # Below an identity or a secret that is being removed itself these find no row: what removed it has named the account.
    account_of = {
        "identity": "SELECT {row}.local, {row}.realm",
        "secret": "SELECT local, realm FROM identity WHERE id = {row}.identity",
        "encoding": "SELECT local, realm FROM secret JOIN identity ON identity.id = secret.identity WHERE secret.id = {row}.secret",
    }
    affected = {"INSERT": ("NEW",), "UPDATE": ("OLD", "NEW"), "DELETE": ("OLD",)}
    return {
        f"{table}_{event.lower()}": f"CREATE TRIGGER {table}_{event.lower()} AFTER {event} ON {table} BEGIN"
        f" INSERT INTO change (local, realm) {' UNION '.join(select.format(row=row) for row in rows)}; END"
        for table, select in account_of.items()
        for event, rows in affected.items()
    }


TRIGGERS = _triggers()
"""By name."""


_DECOY = (
    # What a salt is made of where none is stored (rule F3). It tells nothing of a password, and has to last: another one gives unknown
    # names other salts, and so tells them from known ones.
    """
    CREATE TABLE decoy (
        key BLOB NOT NULL CHECK (length(key) = 32)
    ) STRICT
    """,
    "INSERT INTO decoy VALUES (os_urandom(32))",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = ((*_TABLES, *TRIGGERS.values()), _DECOY)
"""`MIGRATIONS[n]` brings version n to n + 1, all of its statements in one transaction. `os_urandom(n)` is n bytes of the system's."""
