from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from saslauthd_py.store.store import Store

ROOT = Path(__file__).parents[2]

Elsewhere = Callable[..., None]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "store" / "users.db")


@pytest.fixture
def store(path: str) -> Iterator[Store]:
    with Store.open(path, create=True) as opened:
        yield opened


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="session")
def elsewhere(environment: dict[str, str]) -> Iterator[Elsewhere]:
    """Do something to a store in a process that is not ours; back when it is done."""
    script = str(Path(__file__).with_name("other_process.py"))
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        requests, answers = process.stdin, process.stdout

        def ask(*words: str) -> None:
            requests.write(json.dumps(words) + "\n")
            requests.flush()
            assert answers.readline() == "done\n"

        yield ask
        requests.close()
