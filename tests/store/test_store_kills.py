from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

TRIALS = 60


def test_f1_kill_9_of_a_writer_leaves_the_old_or_the_new_password_whole(path: str, environment: dict[str, str]) -> None:
    seed = random.randrange(1 << 32)  # noqa: S311 - where to kill, not a secret
    script = str(Path(__file__).with_name("kill_trials.py"))
    run = subprocess.run(
        [sys.executable, script, path, str(TRIALS), str(seed)], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    outcomes = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(outcomes) == TRIALS
    for outcome in outcomes:
        told = f"{outcome}, seed {seed}"
        assert len(outcome["texts"]) == 1, told
        assert outcome["done"] <= int(outcome["texts"][0]) <= outcome["begun"], told
        assert outcome["integrity"] == "ok", told
        assert outcome["foreign"] == [], told
    unfinished = [outcome for outcome in outcomes if outcome["done"] < outcome["begun"]]
    assert unfinished, f"no kill met a change at work, seed {seed}"
