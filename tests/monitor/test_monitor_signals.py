"""The monitor's signals: none is lost between the first line of their set-up and the last of their use."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from saslauthd_py.monitor import signals


def test_signal_that_comes_while_they_are_set_up_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    install, sent = signal.signal, list[int]()

    def interrupted(number: int, handler: Callable[[int, object], object]) -> object:
        before = install(number, handler)
        if number not in sent:
            sent.append(number)
            signal.raise_signal(number)
        return before

    handlers = [signal.getsignal(number) for number in signals._ALL]
    monkeypatch.setattr(signal, "signal", interrupted)
    with signals.noted() as wake:
        assert signals.heard(wake) == set(sent) == set(signals._ALL)
        assert signals.heard(wake) == set()
    assert [signal.getsignal(number) for number in signals._ALL] == handlers
