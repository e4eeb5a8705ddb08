"""The one place where an error becomes an exit code and a line (sysexits.h; the numbers stand in the man page)."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Every code that a command ends with."""

    DONE = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3
    USAGE = 64
    BAD_INPUT = 65
    NO_FILE = 66
    NO_USER = 67
    NOT_RUNNING = 69
    BUG = 70
    UNAVAILABLE = 75
    DENIED = 77
    CONFIGURATION = 78
    INTERRUPTED = 130


MEANINGS = {
    Exit.DONE: "done; a login was accepted",
    Exit.WARNING: "status --check: look at it soon",
    Exit.CRITICAL: "status --check: logins fail, or no daemon runs",
    Exit.UNKNOWN: "status --check: the daemon cannot be asked",
    Exit.USAGE: "the command line is wrong",
    Exit.BAD_INPUT: "what was given cannot be used: a name that exists, a password that is too long, no base64",
    Exit.NO_FILE: "no such file: the configuration, the store",
    Exit.NO_USER: "no such user",
    Exit.NOT_RUNNING: "nobody listens at the daemon's socket",
    Exit.BUG: "a bug: please report the traceback",
    Exit.UNAVAILABLE: "unavailable: try later",
    Exit.DENIED: "a login was rejected; not permitted",
    Exit.CONFIGURATION: "the configuration is wrong",
    Exit.INTERRUPTED: "Ctrl-C",
}
"""What a code means whatever the command; a command's own words are in its help."""


class CommandFailed(Exception):
    """What a command itself finds wrong: one line that says what to do, and the code to end with."""

    def __init__(self, code: Exit, line: str) -> None:
        super().__init__(line)
        self.code = code


_CODES = {
    "saslauthd_py.identity.InvalidIdentity": Exit.BAD_INPUT,
    "saslauthd_py.mechanisms.plain.MalformedPlain": Exit.BAD_INPUT,
    "saslauthd_py.mechanisms.login.MalformedLogin": Exit.BAD_INPUT,
    "saslauthd_py.mechanisms.scram.messages.Malformed": Exit.BAD_INPUT,
    "saslauthd_py.passwords.scheme.SecretTooLong": Exit.BAD_INPUT,
    "saslauthd_py.passwords.scheme.UnknownScheme": Exit.USAGE,
    "saslauthd_py.passwords.scheme.BrokenRecord": Exit.UNAVAILABLE,
    "saslauthd_py.config.load.ConfigurationError": Exit.CONFIGURATION,
    "saslauthd_py.privileges.PrivilegeError": Exit.CONFIGURATION,
    "saslauthd_py.listeners.spec.ListenError": Exit.CONFIGURATION,
    "saslauthd_py.monitor.errors.PamUnusable": Exit.CONFIGURATION,
    "saslauthd_py.store.errors.NameExists": Exit.BAD_INPUT,
    "saslauthd_py.store.errors.NoSuchUser": Exit.NO_USER,
    "saslauthd_py.store.errors.NoSuchStore": Exit.NO_FILE,
    "saslauthd_py.store.errors.UnsafeStore": Exit.DENIED,
    "saslauthd_py.store.errors.NoBackup": Exit.BAD_INPUT,
    "saslauthd_py.store.errors.StoreError": Exit.UNAVAILABLE,
    "saslauthd_py.sasldb.entry.SasldbError": Exit.BAD_INPUT,
    "saslauthd_py.control.client.NotRunning": Exit.NOT_RUNNING,
    "saslauthd_py.control.client.NotPermitted": Exit.DENIED,
    "saslauthd_py.control.client.RequestRefused": Exit.BAD_INPUT,
    "saslauthd_py.control.client.WrongConfiguration": Exit.CONFIGURATION,
    "saslauthd_py.control.client.ControlError": Exit.UNAVAILABLE,
    "saslauthd_py.app.start.StartError": Exit.CONFIGURATION,
    "saslauthd_py.app.monitor_link.MonitorGone": Exit.UNAVAILABLE,
    "builtins.FileNotFoundError": Exit.NO_FILE,
    "builtins.PermissionError": Exit.DENIED,
    "builtins.OSError": Exit.UNAVAILABLE,
    "builtins.KeyboardInterrupt": Exit.INTERRUPTED,
}
"""By name, so that no command has to import what the others raise: `decode` needs neither pydantic nor SQLite."""


def code_of(error: BaseException) -> Exit:
    """The code of the nearest class that has one; what nobody foresaw is a bug."""
    if isinstance(error, CommandFailed):
        return error.code
    code = next((_CODES[name] for name in _names(error) if name in _CODES), Exit.BUG)
    if code is Exit.CONFIGURATION and error.__cause__ is not None and _foreseen(error.__cause__):
        return code_of(error.__cause__)  # not what it says is wrong: there is no such file or store, or it may not be read
    return code


def _foreseen(cause: BaseException) -> bool:
    """Whether a cause tells more than "the configuration is wrong"."""
    return isinstance(cause, OSError) or any(name in _CODES for name in _names(cause))


def _names(error: BaseException) -> list[str]:
    return [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]


def line_of(error: BaseException) -> str:
    """What to tell: our exceptions carry their line, the system's are put as `PATH: reason`."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{_name(error.filename)}: {error.strerror.lower()}"
    return str(error)


def _name(filename: object) -> str:
    return filename.decode(errors="backslashreplace") if isinstance(filename, bytes) else str(filename)
