"""A process that makes a worker's calls: frames in hexadecimal, a line each, in by standard input and out by standard output."""

from __future__ import annotations

import json
import sys

from saslauthd_py.config.settings import GetpwentSettings, PamSettings, ShadowSettings, WorkerSettings
from saslauthd_py.monitor import getpwent_call, pam_call, shadow_call
from saslauthd_py.wire.monitor import Answer, Call, decode, encode


def answer(settings: WorkerSettings, call: Call) -> Answer:
    if isinstance(settings, PamSettings):
        return pam_call.answer(settings, call)
    if isinstance(settings, GetpwentSettings):
        return getpwent_call.answer(settings, call)
    return shadow_call.answer(settings, call)


def main() -> None:
    """The first argument: the backend's keys as JSON."""
    kinds: dict[str, type[WorkerSettings]] = {"pam": PamSettings, "shadow": ShadowSettings, "getpwent": GetpwentSettings}
    settings = kinds[json.loads(sys.argv[1])["type"]].model_validate_json(sys.argv[1])
    if isinstance(settings, PamSettings):
        pam_call.prepare()
    for line in sys.stdin:
        call = decode(bytes.fromhex(line))
        assert isinstance(call, Call)
        print(encode(answer(settings, call)).hex(), flush=True)


main()
