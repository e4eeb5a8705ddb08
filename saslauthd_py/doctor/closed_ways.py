"""Why a caller does not get through to its socket, and what opens the way: from what was found there, and what the daemon listens at."""

from __future__ import annotations

import errno
import os
import shlex
import stat

from saslauthd_py.doctor import postfix_lines
from saslauthd_py.doctor.case import Case, Target
from saslauthd_py.doctor.said import Said, failed
from saslauthd_py.mta.caller import MAX_PATH, Caller, outside
from saslauthd_py.mta.processes import Who, group_name, user_name
from saslauthd_py.mta.reach import Obstacle, Reached

START = "systemctl start saslauthd-py"


def badly_written(target: Target) -> Said | None:
    """What is wrong with the path itself, wherever it leads."""
    caller = target.caller
    if caller.is_tcp:
        return None
    if (size := len(os.fsencode(caller.path))) > MAX_PATH:
        shorter = caller.source.line("/run/saslauthd/mux")
        cause = f"{caller.source}: this path has {size} bytes, and a socket's has {MAX_PATH} at most: {target} cannot open it"
        return failed(cause, f"choose a shorter one for the daemon's [[listen]], and in {caller.source.file}: {shorter}")
    if not os.path.isabs(caller.path):
        return failed(f"{caller.source} is {caller.path!r}, which is no whole path", _corrected(caller, "/run/saslauthd/mux"))
    return None


def diagnosed(case: Case, target: Target, reached: Reached) -> Said:
    """The cause, and its remedy, for one that did not get through."""
    caller = target.caller
    if reached.kind == stat.S_IFDIR:
        cause = f"{caller.source} names the directory {caller.outside}: it must name the socket in it"
        return failed(cause, _corrected(caller, f"{caller.path.rstrip('/')}/mux"))
    if reached.error == errno.EACCES:
        return _denied(case, target, reached.obstacle)
    if reached.error in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return _nothing_there(case, target)
    if reached.kind == stat.S_IFSOCK and reached.error == errno.ECONNREFUSED:
        cause = f"{caller.outside} is a stale socket: nobody answers on it any more, its daemon has died"
        return failed(cause, f"{START} (it takes the place of the old one)")
    if reached.kind != stat.S_IFSOCK:
        return failed(f"{caller.outside} is no socket", f"move it away, then {START}")
    if reached.error == errno.EAGAIN:
        return failed(f"{caller.outside}: its daemon takes no connection: its queue is full", "systemctl restart saslauthd-py")
    return failed(f"{caller.outside}: {os.strerror(reached.error).lower()} for {target}", START)


def _nothing_there(case: Case, target: Target) -> Said:
    caller = target.caller
    if case.listener(caller) is not None:
        cause = f"no daemon: nothing is at {caller.outside}, where {case.path} has it listen and {target} asks"
        return failed(cause, START)
    if caller.chrooted and _is_elsewhere(case, caller):
        return _unseen(case, target)
    if found := case.visible(caller):
        listen, path = found
        if listen.path == caller.outside + "/mux":
            return failed(f"{caller.source} names a directory: it must name the socket in it", _corrected(caller, path))
        cause = f"wrong path: {caller.source} is {caller.path}, where nothing is for {target}; the daemon listens at {listen.path}"
        return failed(cause, _corrected(caller, path))
    cause = f"nothing is at {caller.outside}, where {target} asks, and {case.path} has no listener for it"
    return failed(cause, _listener(caller))


def _is_elsewhere(case: Case, caller: Caller) -> bool:
    """Is what it asks for there, only not inside its chroot?"""
    return os.path.lexists(caller.path) or any(one.path == caller.path for one in case.listens(caller.protocol))


def _unseen(case: Case, target: Target) -> Said:
    caller, postfix = target.caller, case.machine.postfix
    cause = f"chroot: to {target} {caller.path} is {caller.outside}, where nothing is; the socket {caller.path} is outside"
    mend = _listener(caller)
    if postfix is not None:
        service = next((one for one in postfix.logins() if postfix.chrooted(one)), None)
        mend += f"; or out of the chroot: {postfix_lines.unchrooted(postfix, service)}" if service is not None else ""
    return failed(cause, mend)


def _denied(case: Case, target: Target, obstacle: Obstacle | None) -> Said:
    caller = target.caller
    if obstacle is None:
        cause = f"{caller.outside}: permission denied for {target}, {caller.who}, though every mode allows it"
        return failed(cause, "see check `denials`: SELinux or AppArmor; allow_users in the [[listen]]")
    place = Obstacle(outside(caller.root, obstacle.path), obstacle.wants, obstacle.mode, obstacle.uid, obstacle.gid, obstacle.has_acl)
    if obstacle.wants == "x":
        return failed(f"{target}, {caller.who}, may not enter {place}", _entered(case, place, caller.who))
    by_group = bool(obstacle.mode & stat.S_IWGRP)
    why = f"it is not in group {group_name(obstacle.gid)}" if by_group else "its mode keeps the group out"
    cause = f"{target}, {caller.who}, may not write to the socket {place}: {why}"
    return failed(cause, _written(case, caller, place, by_group=by_group))


def _entered(case: Case, place: Obstacle, who: Who) -> str:
    if place.mode & stat.S_IXGRP:
        return _joined(case, place.gid, who)
    return f"chmod go+x {shlex.quote(place.path)}"


def _written(case: Case, caller: Caller, place: Obstacle, *, by_group: bool) -> str:
    listen = case.listener(caller)
    if listen is not None:
        group = group_name(caller.who.gid)
        return (
            f'in the [[listen]] of {case.path} with path = "{listen.path}": group = "{group}" and mode = "0660"; then saslauthd-py reload'
        )
    return _joined(case, place.gid, caller.who) if by_group else f"chmod g+w {shlex.quote(place.path)}"


def _joined(case: Case, gid: int, who: Who) -> str:
    return f"usermod -aG {group_name(gid)} {user_name(who.uid)} && {postfix_lines.reload(case.machine.postfix)}"


def _corrected(caller: Caller, path: str) -> str:
    return f"in {caller.source.file}: {caller.source.line(path)}"


def _listener(caller: Caller) -> str:
    group = group_name(caller.who.gid)
    return (
        f'add to the configuration: [[listen]] protocol = "{caller.protocol}" path = "{caller.outside}" group = "{group}", '
        f"after: install -d -m 755 {shlex.quote(os.path.dirname(caller.outside))}; then saslauthd-py reload"
    )
