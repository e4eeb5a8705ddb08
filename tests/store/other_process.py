"""Another process on the same files: reads one JSON line for each thing to do, and answers each with a line. It keeps nothing open."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from saslauthd_py.credential import Encoding
from saslauthd_py.identity import split
from saslauthd_py.store.model import NewSecret
from saslauthd_py.store.store import Store


def do(what: str, path: str, *words: str) -> None:
    if what == "passwd":
        with Store.open(path) as store:
            store.set_secret(split(words[0]), NewSecret(Encoding("argon2id", words[1])))
    elif what == "add":
        with Store.open(path, create=True) as store:
            store.add(split(words[0]))
    elif what == "lock":
        with Store.open(path) as store:
            store.lock(split(words[0]), "because")
    elif what == "sql":
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for statement in words:
                connection.execute(statement).fetchall()
    elif what == "garbage":
        with open(path, "r+b") as file:
            file.write(os.urandom(os.path.getsize(path)))
    elif what == "truncate":
        os.truncate(path, int(words[0]))
    elif what == "write over":
        with open(path, "r+b") as file:
            file.write(Path(words[0]).read_bytes())
    elif what == "copy":
        shutil.copy2(path, words[0])
    else:
        raise ValueError(what)


if __name__ == "__main__":
    for line in sys.stdin:
        do(*json.loads(line))
        print("done", flush=True)
