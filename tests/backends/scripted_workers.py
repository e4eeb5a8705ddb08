"""Workers that answer as they are told."""

from __future__ import annotations

import trio

from saslauthd_py.wire.monitor import Answer, Call
from saslauthd_py.workers import WorkerFailed, Workers


class Scripted(Workers):
    """Answers in turn; the last one again and again. `calls`: what they were asked."""

    def __init__(self, *answers: Answer | WorkerFailed) -> None:
        super().__init__("scripted", lambda _: None)
        self.answers = list(answers)
        self.calls: list[Call] = []

    async def call(self, call: Call) -> Answer:
        self.calls.append(call)
        await trio.lowlevel.checkpoint()
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(said, WorkerFailed):
            raise said
        return said
