"""The sockets that clients connect to: UNIX ones with their owner and mode (rule A6), TCP ones, or those of who started us (H2)."""

from saslauthd_py.listeners.binding import BACKLOG, Listener, bind, check, replace, unlink_own
from saslauthd_py.listeners.clients import Networks, allowed_ids, allowed_networks
from saslauthd_py.listeners.configured import Bound, bind_all, check_all, daemon_ids, let_go, rebind_all, unlink_gone
from saslauthd_py.listeners.controlling import bind_control, bind_meeting, check_control
from saslauthd_py.listeners.inheriting import choose, inherited
from saslauthd_py.listeners.spec import ListenError, ListenerSpec, resolve
from saslauthd_py.listeners.tcp import bind_tcp, check_tcp

__all__ = [
    "BACKLOG",
    "Bound",
    "ListenError",
    "Listener",
    "ListenerSpec",
    "Networks",
    "allowed_ids",
    "allowed_networks",
    "bind",
    "bind_all",
    "bind_control",
    "bind_meeting",
    "bind_tcp",
    "check",
    "check_all",
    "check_control",
    "check_tcp",
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
