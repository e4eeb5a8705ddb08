"""A worker: root, one call at a time, and of no value. Whatever a module does to it costs the call that it has, and nothing else."""

from __future__ import annotations

import os
import resource
import signal
import socket
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NoReturn

from saslauthd_py import privileges
from saslauthd_py.config.settings import GetpwentSettings, PamSettings, ShadowSettings, WorkerSettings
from saslauthd_py.wire.monitor import MAX_FRAME, Answer, Call, Malformed, decode, encode

CHANNEL = 3
"""The descriptor of its channel; it has that, three of /dev/null, and no other."""

PATIENT = 10
"""The nice value of a call that may take its time (rule D4)."""

MEMORY_GROWTH = 64 << 10
"""KiB by which a worker may grow before it makes room for a new one."""

_DESCRIPTORS = 1024
_SPARE_DESCRIPTORS = 512
_BROKEN_FRAME, _BUG = 76, 70


def start(settings: WorkerSettings, ends: tuple[socket.socket, socket.socket]) -> int:
    """Fork a worker that serves the second of two connected ends. Returns its pid, which is its process group's too.

    For a process without threads: what is forked goes on in Python.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _serve(settings, ends[1], parent)
    with suppress(OSError):  # it has done so itself, or has ended already
        os.setpgid(pid, pid)
    return pid


def prepare(settings: WorkerSettings) -> None:
    """What a fork shall find done: the modules and libraries that the calls need. Raises PamUnusable."""
    if isinstance(settings, PamSettings):
        from saslauthd_py.monitor import pam_call  # not for a site without PAM

        pam_call.prepare()
    else:
        from saslauthd_py import passwords
        from saslauthd_py.monitor import getpwent_call, shadow_call  # noqa: F401 - so that no worker has to

        passwords.preload()


def answerer(settings: WorkerSettings) -> Callable[[Call], Answer]:
    """The function that makes one call as this backend makes it."""
    if isinstance(settings, ShadowSettings):
        from saslauthd_py.monitor import shadow_call

        return partial(shadow_call.answer, settings)
    if isinstance(settings, GetpwentSettings):
        from saslauthd_py.monitor import getpwent_call

        return partial(getpwent_call.answer, settings)
    from saslauthd_py.monitor import pam_call

    return partial(pam_call.answer, settings)


def _serve(settings: WorkerSettings, channel: socket.socket, parent: int) -> NoReturn:
    """Never returns, and never raises: what called it is the monitor's code."""
    code = _BUG
    try:
        _settle(channel.fileno(), parent)
        code = _take_calls(socket.socket(fileno=CHANNEL), answerer(settings), settings.recycle_after)
    except BaseException:
        with suppress(OSError):
            os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _settle(descriptor: int, parent: int) -> None:
    """Become a process of its own: nothing inherited but the channel, nothing that signals meant for the daemon would end."""
    os.setpgid(0, 0)  # not setsid: nice works among the processes of one session only (sched(7), autogroup)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else lambda *_: None)
        signal.siginterrupt(number, False)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.dup2(descriptor, CHANNEL, inheritable=False)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # what a module prints goes nowhere
        os.dup2(null, standard)
    os.closerange(CHANNEL + 1, 1 << 20)
    privileges.die_with_parent(parent)
    privileges.adopt_orphans()  # while it lives they are its own; the monitor gets them when it has ended, and nobody else's
    privileges.seal()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    few = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write("500")  # where memory is short, a module that leaks goes before the daemon


def _take_calls(channel: socket.socket, answer: Callable[[Call], Answer], most: int) -> int:
    """Serve until the front lets go, or this worker is used up: then the answer says so, for a call sent afterwards would be lost."""
    at_start = _memory()
    for number in range(1, most + 1):
        data, _, flags, _ = channel.recvmsg(MAX_FRAME)
        if not data:
            return 0
        try:
            call = decode(data)
        except Malformed:
            return _BROKEN_FRAME
        if not isinstance(call, Call) or flags & socket.MSG_TRUNC:
            return _BROKEN_FRAME
        _be_nice(0 if call.urgent else PATIENT)
        answered = answer(call)
        _bury()
        last = number == most or _memory() - at_start > MEMORY_GROWTH or _descriptors() > _SPARE_DESCRIPTORS
        channel.send(encode(replace(answered, id=call.id, last=last)))
        if last:
            break
    return 0


def _bury() -> None:
    """Forget the adopted that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _be_nice(value: int) -> None:
    with suppress(PermissionError):  # without CAP_SYS_NICE there is no way back up
        if os.getpriority(os.PRIO_PROCESS, 0) != value:
            os.setpriority(os.PRIO_PROCESS, 0, value)


def _memory() -> int:
    """KiB at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
