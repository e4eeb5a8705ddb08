"""Why a caller does not get through to its socket, and what opens the way: from what was found there, and what the daemon listens at."""

from __future__ import annotations

import errno
import json
import os
import shlex
import stat

from saslauthd_py.doctor import anew, postfix_lines
from saslauthd_py.doctor.case import Case, Target
from saslauthd_py.doctor.said import Said, failed
from saslauthd_py.mta.caller import MAX_PATH, Caller, outside
from saslauthd_py.mta.processes import group_name, user_name
from saslauthd_py.mta.reach import Obstacle, Reached


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
        if case.listener(caller) is None:
            return failed(f"{cause}, and {case.path} has no listener there", _elsewhere(case, caller))
        return failed(cause, f"{case.start()} (it takes the place of the old one)")
    if reached.kind != stat.S_IFSOCK:
        return failed(f"{caller.outside} is no socket", f"move it away, then {case.start()}")
    if reached.error == errno.EAGAIN:
        return failed(f"{caller.outside}: its daemon takes no connection: its queue is full", case.restart())
    return failed(f"{caller.outside}: {os.strerror(reached.error).lower()} for {target}", case.start())


def _nothing_there(case: Case, target: Target) -> Said:
    caller = target.caller
    if case.listener(caller) is not None:
        cause = f"no daemon: nothing is at {caller.outside}, where {case.path} has it listen and {target} asks"
        return failed(cause, case.start())
    if caller.chrooted and _is_elsewhere(case, caller):
        return _unseen(case, target)
    if found := case.visible(caller):
        listen, path = found
        if listen.path == caller.outside + "/mux":
            return failed(f"{caller.source} names a directory: it must name the socket in it", _corrected(caller, path))
        cause = f"wrong path: {caller.source} is {caller.path}, where nothing is for {target}; the daemon listens at {listen.path}"
        return failed(cause, _corrected(caller, path))
    cause = f"nothing is at {caller.outside}, where {target} asks, and {case.path} has no listener for it"
    return failed(cause, _listener(case, caller))


def _elsewhere(case: Case, caller: Caller) -> str:
    found = case.visible(caller)
    return _corrected(caller, found[1]) if found is not None else _listener(case, caller)


def _is_elsewhere(case: Case, caller: Caller) -> bool:
    """Is what it asks for there, only not inside its chroot?"""
    return os.path.lexists(caller.path) or any(one.path == caller.path for one in case.listens(caller.protocol))


def _unseen(case: Case, target: Target) -> Said:
    caller, postfix = target.caller, case.machine.postfix
    cause = f"chroot: to {target} {caller.path} is {caller.outside}, where nothing is; the socket {caller.path} is outside"
    mend = _listener(case, caller)
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
        return failed(f"{target}, {caller.who}, may not enter {place}", _entered(case, place, caller))
    by_group = bool(obstacle.mode & stat.S_IWGRP)
    why = f"it is not in group {group_name(obstacle.gid)}" if by_group else "its mode keeps the group out"
    cause = f"{target}, {caller.who}, may not write to the socket {place}: {why}"
    return failed(cause, _written(case, caller, place, by_group=by_group))


def _entered(case: Case, place: Obstacle, caller: Caller) -> str:
    if place.mode & stat.S_IXGRP:
        return _joined(case, place.gid, caller)
    return f"chmod go+x {shlex.quote(place.path)}"


def _written(case: Case, caller: Caller, place: Obstacle, *, by_group: bool) -> str:
    listen = case.listener(caller)
    if by_group and any(place.gid in {one.caller.who.gid, *one.caller.who.groups} for one in case.targets):
        return _joined(case, place.gid, caller)  # the socket's group is that of another mail server, which asks there too
    if listen is not None:
        group = group_name(caller.who.gid)
        return f'in the [[listen]] of {case.path} with path = "{listen.path}": group = "{group}" and mode = "0660"; then {case.reload()}'
    return _joined(case, place.gid, caller) if by_group else f"chmod g+w {shlex.quote(place.path)}"


def _joined(case: Case, gid: int, caller: Caller) -> str:
    return f"usermod -aG {group_name(gid)} {user_name(caller.who.uid)} && {anew.command(case.machine, caller)}"


def _corrected(caller: Caller, path: str) -> str:
    return f"in {caller.source.file}: {caller.source.line(path)}"


def _listener(case: Case, caller: Caller) -> str:
    """One command, for a table of TOML is several lines: they go to the end of the file, where a table always may."""
    group = group_name(caller.who.gid)
    table = ("", "[[listen]]", f'protocol = "{caller.protocol}"', f"path = {json.dumps(caller.outside)}", f'group = "{group}"')
    lines = " ".join(shlex.quote(line) for line in table)
    directory = shlex.quote(os.path.dirname(caller.outside))
    return f"install -d -m 755 {directory} && printf '%s\\n' {lines} >> {shlex.quote(case.path)} && {case.reload()}"
