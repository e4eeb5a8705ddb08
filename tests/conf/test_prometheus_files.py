"""conf/prometheus: Prometheus takes it, every alert comes when it should, and asks for numbers that there are."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.metrics.snapshots import busy, page, samples

FOLDER = Path(__file__).parent.parent.parent / "conf" / "prometheus"
RULES = FOLDER / "saslauthd-py.rules.yml"
CASES = Path(__file__).parent / "alerts.yml"


@pytest.mark.peer("promtool")
@pytest.mark.parametrize(
    "words",
    [("check", "rules", RULES), ("check", "config", FOLDER / "prometheus.yml"), ("test", "rules", CASES)],
    ids=["rules", "configuration", "cases"],
)
def test_promtool_takes_it(words: tuple[str | Path, ...]) -> None:
    done = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout
    assert "FAILED" not in done.stdout + done.stderr


def test_alerts_ask_for_numbers_and_labels_that_there_are() -> None:
    known = {name: set[str]() for name, _ in samples(page(busy()))}
    for name, labels in samples(page(busy())):
        known[name] |= {f'{label}="{value}"' for label, value in labels}
    asked = re.findall(r"(saslauthd_py_\w+)(?:\{([^}]*)\})?", RULES.read_text())
    assert len(asked) > 10
    for name, labels in asked:
        assert name in known
        assert set(filter(None, labels.split(", "))) <= known[name], name


def test_every_alert_has_a_case_in_quiet_and_in_bad_times() -> None:
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
    quiet, _, bad = CASES.read_text().partition("a bad day")
    for alert in alerts:
        assert f"alertname: {alert} " in quiet
        assert f"alertname: {alert}\n" in bad


def test_address_is_the_one_that_the_configuration_shows() -> None:
    text = (FOLDER / "prometheus.yml").read_text()
    assert '# address = "127.0.0.1:9477"' in text.replace("#   ", "# ")
    assert 'targets: ["127.0.0.1:9477"]' in text
