"""Kill a process by SIGKILL while it changes a password again and again, look at what is left, and say so in one line of JSON a trial.

A process of its own, so that it can fork: nothing here has a store open while it does. The child writes the number of a change to its
pipe before it begins it and after it has returned; the parent lets a random number of changes pass, and then a random time.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import sys
import time
from contextlib import closing

from saslauthd_py.credential import Encoding
from saslauthd_py.identity import split
from saslauthd_py.store import store as store_module
from saslauthd_py.store.model import NewSecret
from saslauthd_py.store.store import Store

ALICE = split("alice@example.org")
LONGEST = 0.002
"""Seconds: more than one change takes."""


def change_for_ever(path: str, first: int, pipe: int) -> None:
    store_module.SETTLE = 0.0  # or most kills would meet a process that sleeps
    with Store.open(path) as store:
        for number in range(first, first + 1000):
            os.write(pipe, b"begun %d\n" % number)
            store.set_secret(ALICE, NewSecret(Encoding("argon2id", str(number))))
            os.write(pipe, b"done %d\n" % number)


def trial(path: str, stored: int, first: int, chance: random.Random) -> dict[str, object]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            change_for_ever(path, first, writing)
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading, "rb") as lines:
        heard = [lines.readline() for _ in range(chance.randrange(1, 8))]
        until = time.perf_counter() + chance.uniform(0, LONGEST)
        while time.perf_counter() < until:
            pass
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        heard += lines.readlines()
    said = [line.split() for line in heard if line.endswith(b"\n")]
    begun = max([int(number) for word, number in said if word == b"begun"], default=first - 1)
    done = max([int(number) for word, number in said if word == b"done"], default=stored)
    return {"begun": begun, "done": done, **left(path)}


def number(found: object) -> int:
    """A count as it is, and the one that a stored text holds."""
    return int(found[0]) if isinstance(found, list) else int(str(found))


def left(path: str) -> dict[str, object]:
    with Store.open(path) as store:
        (main,) = store.get(ALICE).credentials
    with closing(sqlite3.connect(path)) as connection:
        integrity = connection.execute("PRAGMA integrity_check").fetchone()[0]
        foreign = connection.execute("PRAGMA foreign_key_check").fetchall()
    texts = [encoding.text for encoding in main.encodings]
    return {"texts": texts, "generation": main.generation, "integrity": integrity, "foreign": foreign}


if __name__ == "__main__":
    path, trials, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(seed)  # noqa: S311 - where to kill, not a secret
    with Store.open(path, create=True) as store:
        store.add(ALICE, NewSecret(Encoding("argon2id", "0")))
    outcome: dict[str, object] = {"begun": 0, "texts": ["0"]}
    for _ in range(trials):
        outcome = trial(path, number(outcome["texts"]), number(outcome["begun"]) + 1, chance)
        print(json.dumps(outcome), flush=True)
