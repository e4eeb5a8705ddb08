"""Bind a UNIX listener (rule A6): it listens before it gets its name, and has its owner and mode from the first moment.

In a directory that others can change, root works with the owner's ids, so that whatever they swap under our hands, we do to it
only what they could do themselves.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from saslauthd_py.listeners import occupants
from saslauthd_py.listeners.directory import Directory, opened, temporary_name
from saslauthd_py.listeners.spec import ListenError, ListenerSpec
from saslauthd_py.privileges import peer_ids

BACKLOG = 1024
"""Connections that wait for accept; the original's 5 to 128 make Postfix see refusals under load."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket, non-blocking and close-on-exec. `inode` is what `path` led to, and `unlink_own` removes nothing else."""

    path: str
    socket: socket.socket
    inode: os.stat_result


def bind(spec: ListenerSpec) -> Listener:
    """A listener at `spec.path`, with exactly the owner, group and mode of `spec`. Never waits.

    A socket on which nobody answers is replaced. Raises ListenError, and leaves nothing behind: something else has the path, another
    process answers on it, the directory is missing or not to be trusted, or the kernel allows or does something else than asked.
    While it runs, umask and effective ids of the whole process are changed: call it before any thread is started.
    """
    _check_owner(spec)
    with opened(spec.path, foreign=spec.foreign) as directory, _reported(spec, directory), contextlib.ExitStack() as undo:
        _check_directory(directory, spec)
        with _acting(spec, directory):
            _clear(directory, os.path.basename(spec.path), spec.path)
        listener, temporary, inode = _make(spec, directory, undo)
        with _acting(spec, directory):
            _publish(directory, temporary, spec.path, inode)
        undo.pop_all()
        return Listener(spec.path, listener, inode)


def replace(spec: ListenerSpec, old: Listener) -> Listener:
    """As `bind`, at a path that leads to `old`, another listener of ours: renamed over it, so that there is always one that answers.

    Whoever looked the name up before still connects to `old`: let it serve on for a while (rule H1). Raises ListenError.
    """
    _check_owner(spec)
    with opened(spec.path, foreign=spec.foreign) as directory, _reported(spec, directory), contextlib.ExitStack() as undo:
        _check_directory(directory, spec)
        name = os.path.basename(spec.path)
        if not os.path.samestat(directory.stat(name), old.inode):
            raise ListenError(f"{spec.path} leads to another socket than ours: move it away, or choose another path")
        listener, temporary, inode = _make(spec, directory, undo)
        with _acting(spec, directory):
            os.rename(temporary, name, src_dir_fd=directory.descriptor, dst_dir_fd=directory.descriptor)
        undo.pop_all()
        return Listener(spec.path, listener, inode)


def leads_to(listener: Listener) -> bool:
    """Does its path still lead to it? Raises ListenError where that cannot be told."""
    with opened(listener.path) as directory:
        try:
            return os.path.samestat(directory.stat(os.path.basename(listener.path)), listener.inode)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ListenError(f"{listener.path}: cannot be looked at: {error.strerror}") from error


def check(spec: ListenerSpec, *, ours: bool = False) -> None:
    """Raise what `bind` would for what can be told without binding: owner, directory, and whoever has the path already.

    `ours`: that is our own daemon, which will have left it.
    """
    _check_owner(spec)
    with opened(spec.path, foreign=spec.foreign) as directory, _reported(spec, directory):
        _check_directory(directory, spec)
        stale = None if ours else _judge(directory, os.path.basename(spec.path), spec.path)
        if stale is not None:
            os.close(stale)


def unlink_own(listener: Listener) -> None:
    """Remove the listener's path if it still leads to it; call it before the socket is closed, so that no other inode can be it.

    A daemon that has dropped may not be allowed to: the next start then finds a socket on which nobody answers.
    """
    with contextlib.suppress(ListenError, PermissionError, FileNotFoundError), opened(listener.path) as directory:
        directory.remove(os.path.basename(listener.path), listener.inode)


def _make(spec: ListenerSpec, directory: Directory, undo: contextlib.ExitStack) -> tuple[socket.socket, str, os.stat_result]:
    """A socket that listens under a name that nobody knows, that name, and what it is."""
    temporary = temporary_name(os.path.basename(spec.path))
    listener = undo.enter_context(socket.socket(socket.AF_UNIX, spec.type))
    listener.setblocking(False)
    with _acting(spec, directory):
        listener.bind(directory.at(temporary))
        undo.callback(_forget, directory, temporary, spec)
        inode = _settle(directory, temporary, spec)
    listener.listen(BACKLOG)  # with our own ids, for SO_PEERCRED shows clients who called it
    return listener, temporary, inode


def _check_owner(spec: ListenerSpec) -> None:
    if os.geteuid() not in (0, spec.uid):
        raise ListenError(f"{spec.path}: only root can give a socket to uid {spec.uid}: start as root, or leave out its user")


def _check_directory(directory: Directory, spec: ListenerSpec) -> None:
    mode = os.fstat(directory.descriptor).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise ListenError(
            f"{spec.path}: everybody can put a socket of their own in its place and be given passwords; run: chmod o-w {directory.path}"
        )


@contextlib.contextmanager
def _reported(spec: ListenerSpec, directory: Directory) -> Iterator[None]:
    """OSError becomes ListenError."""
    try:
        yield
    except PermissionError as error:
        raise ListenError(f"{spec.path}: {_not_permitted(spec, directory)}") from error
    except OSError as error:
        raise ListenError(f"{spec.path}: cannot be bound: {error.strerror}") from error


@contextlib.contextmanager
def _acting(spec: ListenerSpec, directory: Directory) -> Iterator[None]:
    """Umask and effective ids for work in the directory."""
    root = os.geteuid() == 0
    with _umask(0o777 if root and directory.safe else 0o777 & ~spec.mode):
        if root and not directory.safe:
            with _effective(spec.uid, spec.gid):
                yield
        else:
            yield


@contextlib.contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def _effective(uid: int, gid: int) -> Iterator[None]:
    """Effective ids only: the real and saved ones stay root's, so that the user can neither signal nor trace us meanwhile."""
    groups, own_gid = os.getgroups(), os.getegid()
    os.setgroups([])
    try:
        os.setegid(gid)  # before the uid: it needs root, as the way back does
        os.seteuid(uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(own_gid)
        os.setgroups(groups)


def _clear(directory: Directory, name: str, path: str) -> None:
    """Make the name free, if a dead socket has it."""
    stale = _judge(directory, name, path)
    if stale is None:
        return
    try:
        removed = directory.remove(name, os.fstat(stale))
    finally:
        os.close(stale)
    if not removed:
        _lost(directory, name, path)


def _judge(directory: Directory, name: str, path: str) -> int | None:
    """A descriptor of the dead socket that has the name; None: nothing has it. ListenError: anything else has it."""
    try:
        pinned = directory.pin(name)
    except FileNotFoundError:
        return None
    try:
        mode = os.fstat(pinned).st_mode
        if not stat.S_ISSOCK(mode):
            raise ListenError(f"{path} is there and is no socket ({stat.filemode(mode)}): move it away, or choose another path")
        if who := _answering(pinned):
            raise ListenError(f"{path}: another process ({who}) answers on {path}: stop it, or choose another path")
    except BaseException:
        os.close(pinned)
        raise
    return pinned


def _answering(pinned: int) -> str | None:
    """Who answers on the socket with that descriptor; asked through it, not by a path that may lead elsewhere by now."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(f"/proc/self/fd/{pinned}")
        except BlockingIOError:
            return "its queue of connections is full"
        except ConnectionRefusedError:
            return None
        except PermissionError:
            return f"perhaps: uid {os.fstat(pinned).st_uid} owns it and lets nobody ask; remove it by hand if it is an old one"
        except OSError:  # EPROTOTYPE: alive, and no stream socket
            return "with another type of socket"
        peer = peer_ids(probe)
    return occupants.process(peer.pid, peer.uid)


def _settle(directory: Directory, temporary: str, spec: ListenerSpec) -> os.stat_result:
    """Give the new socket what umask and ids could not; ListenError where it is not as `spec` says then."""
    pinned = directory.pin(temporary)
    try:
        itself = f"/proc/self/fd/{pinned}"
        if os.geteuid() == 0 and directory.safe:
            os.chmod(itself, spec.mode)  # before the owner changes: after it, it would need one capability more
            os.chown(itself, spec.uid, spec.gid)
        elif os.geteuid() != 0 and stat.S_ISSOCK(os.fstat(pinned).st_mode) and os.fstat(pinned).st_gid != spec.gid:
            os.chown(itself, -1, spec.gid)  # a setgid directory gives its own group; we are the owner here, and never root
        found = os.fstat(pinned)
    finally:
        os.close(pinned)
    wanted = (stat.S_IFSOCK | spec.mode, spec.uid, spec.gid)
    if (found.st_mode, found.st_uid, found.st_gid) != wanted:
        raise ListenError(
            f"{spec.path}: {directory.path} makes it {_rights(found)} in place of uid {spec.uid}, gid {spec.gid}, mode {spec.mode:04o}: "
            "look at its setgid bit, its ACL and its file system"
        )
    return found


def _publish(directory: Directory, temporary: str, path: str, inode: os.stat_result) -> None:
    """Rename, but never over another entry: of two daemons that start at once, one gets the name and the other an error."""
    name = os.path.basename(path)
    try:
        directory.link(temporary, name)
    except FileExistsError:
        _lost(directory, name, path)
    os.unlink(temporary, dir_fd=directory.descriptor)
    if not os.path.samestat(directory.stat(name), inode):
        raise ListenError(f"{path}: somebody who can write in {directory.path} replaced it at once")


def _lost(directory: Directory, name: str, path: str) -> NoReturn:
    stale = _judge(directory, name, path)  # says who it is
    if stale is not None:
        os.close(stale)
    raise ListenError(f"{path}: another process took this path at the same moment, and is gone: start again")


def _forget(directory: Directory, temporary: str, spec: ListenerSpec) -> None:
    with contextlib.suppress(OSError), _acting(spec, directory):
        os.unlink(temporary, dir_fd=directory.descriptor)


def _not_permitted(spec: ListenerSpec, directory: Directory) -> str:
    there = f"{directory.path} ({_rights(os.fstat(directory.descriptor))})"
    if os.geteuid() != 0:
        return (
            f"uid {os.geteuid()} may not make a socket with gid {spec.gid} in {there}: start as root, or choose another directory or group"
        )
    if directory.safe:
        return f"root may not make a socket in {there}: the service lacks CAP_CHOWN, CAP_FOWNER or CAP_DAC_OVERRIDE"
    return f"others than root can change {there}, so the socket is made as uid {spec.uid}, who may not: set user to the directory's owner"


def _rights(found: os.stat_result) -> str:
    return f"uid {found.st_uid}, gid {found.st_gid}, mode {stat.S_IMODE(found.st_mode):04o}"
