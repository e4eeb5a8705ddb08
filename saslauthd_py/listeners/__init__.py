"""The UNIX sockets that clients connect to: bound with their owner and mode (rule A6), or taken over from who started us (H2)."""

from saslauthd_py.listeners.binding import BACKLOG, Listener, bind, check, unlink_own
from saslauthd_py.listeners.inheriting import choose, inherited
from saslauthd_py.listeners.spec import ListenError, ListenerSpec, resolve

__all__ = ["BACKLOG", "ListenError", "Listener", "ListenerSpec", "bind", "check", "choose", "inherited", "resolve", "unlink_own"]
