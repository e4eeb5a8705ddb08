"""Import two thousand accounts into the store at argv[1], to be killed meanwhile; a line is said when the writing begins.

argv[2]: after so many thousand of SQLite's steps it kills itself; 0: somebody else does, at a time of theirs.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count

from saslauthd_py.credential import Encoding
from saslauthd_py.identity import Identity
from saslauthd_py.store import staging
from saslauthd_py.store.incoming import Incoming, IncomingSecret, row_list
from saslauthd_py.store.merging import Wanted

HASH = Encoding("argon2id", "$argon2id$v=19$m=8,t=1,p=1$YmVuY2hpbmdiZW5jaGluZw$E+qBBX3+DI0e+N48K55cfw")

STEPS = count(1)


def step() -> int:
    if next(STEPS) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return 0


if __name__ == "__main__":
    with staging.opened(sys.argv[1]) as staged:
        for number in range(1, 2001):
            staged.put(row_list(number, Incoming(Identity(f"user{number}"), (IncomingSecret((HASH,)),))))
        list(staged.repeated())
        staged._connection.set_progress_handler(step, 1000)
        print("ready", flush=True)
        staged.write(Wanted(), lambda *_: None)
