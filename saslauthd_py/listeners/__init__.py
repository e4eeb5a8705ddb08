"""The UNIX sockets that clients connect to: bound with their owner and mode (rule A6), or taken over from who started us (H2)."""

from saslauthd_py.listeners.binding import BACKLOG, Listener, bind, check, replace, unlink_own
from saslauthd_py.listeners.configured import Bound, allowed_ids, bind_all, check_all, daemon_ids, let_go, rebind_all, unlink_gone
from saslauthd_py.listeners.controlling import bind_control, bind_meeting
from saslauthd_py.listeners.inheriting import choose, inherited
from saslauthd_py.listeners.spec import ListenError, ListenerSpec, resolve

__all__ = [
    "BACKLOG",
    "Bound",
    "ListenError",
    "Listener",
    "ListenerSpec",
    "allowed_ids",
    "bind",
    "bind_all",
    "bind_control",
    "bind_meeting",
    "check",
    "check_all",
    "choose",
    "daemon_ids",
    "inherited",
    "let_go",
    "rebind_all",
    "replace",
    "resolve",
    "unlink_gone",
    "unlink_own",
]
