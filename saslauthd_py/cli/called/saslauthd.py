"""Called as `saslauthd`: the original's flags as a configuration, and the daemon on it, detached unless -d or -f is said."""

from __future__ import annotations

import contextlib
import os
import shlex
import traceback
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from getopt import GetoptError

from saslauthd_py import __version__, privileges
from saslauthd_py.cli import serve
from saslauthd_py.cli.called import detached, pid_file
from saslauthd_py.cli.called.options import as_getopt
from saslauthd_py.cli.called.pid_file import AlreadyRunning, RunDirectoryError
from saslauthd_py.cli.config import originals
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import Exit, code_of, line_of
from saslauthd_py.cli.render import printable
from saslauthd_py.config.legacy import flags, site
from saslauthd_py.config.legacy.flags import MECHANISMS, FlagsError, UsageWanted, VersionWanted
from saslauthd_py.config.legacy.mechanisms import MechanismError
from saslauthd_py.config.legacy.site import Instance
from saslauthd_py.config.load import DEFAULT_PATH, render_toml
from saslauthd_py.config.settings import ServerSettings
from saslauthd_py.listeners import ListenError
from saslauthd_py.privileges import Ids, PrivilegeError

CONFIGURATION = "saslauthd-py.toml"
"""What the flags mean, in the run directory: for `saslauthd-py status --config` and all other commands, and for who goes on from there."""

CONTROL = "control"
"""The control socket there: each instance has one of its own."""

REFUSED = 1
OTHER_INSTANCE = 2

_FORESEEN = (FlagsError, MechanismError, RunDirectoryError, PrivilegeError, ListenError)

_USAGE = """\
usage: saslauthd [options]

option information:
  -a <authmech>  Selects the authentication mechanism to use.
  -c             Enable credential caching (in memory).
  -d             Debugging (don't detach from tty).
  -f             Don't detach from tty.
  -r             Combine the realm with the login before passing to authentication mechanism
                 Ex. login: "foo" realm: "bar" will get passed as login: "foo@bar"
  -O <option>    Optional argument to pass to the authentication mechanism.
  -l             Means nothing here: there is no accept() locking.
  -m <path>      Alternate path for the saslauthd working directory, must be absolute.
  -n <procs>     Number of worker processes to create, for the mechanisms that have them.
  -s <kilobytes> Size of the credential cache (in kilobytes)
  -t <seconds>   Timeout for items in the credential cache (in seconds)
  -v             Display version information and available mechs
  -V             Means nothing here: every login is logged.
  -h             Display this message.
"""


def run(arguments: Sequence[str], environment: Environment) -> int:
    """0 when it listens, or was asked to show something, or, in the foreground, was told to end; else it does not run."""
    try:
        instance = originals.instance(flags.parse(arguments))
        ids = _daemon_ids()
        pid_file.make_directory(instance.flags.run_directory)
    except VersionWanted:
        environment.stderr.write(_version())
        return 0
    except UsageWanted as wanted:
        return _show_usage(environment, str(wanted))
    except GetoptError as error:
        return _show_usage(environment, as_getopt(error))
    except _FORESEEN as error:
        _say(environment, str(error).splitlines())
        return REFUSED
    _say(environment, (f"warning: {note}" for note in instance.flags.notes))

    def daemon() -> int:
        return _serve(instance, arguments, environment)

    return daemon() if instance.flags.foreground else detached.start(daemon, ids)


def _daemon_ids() -> Ids:
    """Whom the daemon becomes, asked before anything is made: as root there must be such a user. Raises PrivilegeError."""
    if os.geteuid() != 0:
        return Ids(os.geteuid(), os.getegid(), "")
    server = ServerSettings()
    return privileges.account(server.user, server.group)


def _serve(instance: Instance, arguments: Sequence[str], environment: Environment) -> int:
    """Until it is told to end."""
    os.umask(0o077)
    text = "".join(f"{line}\n" for line in _configuration(instance, arguments))
    try:
        with pid_file.held(instance.flags.run_directory) as directory, pid_file.written(directory, CONFIGURATION, text) as path:
            report = serve.run(Namespace(config=path, check=False), environment)
    except AlreadyRunning:
        _say(environment, ("Cannot start saslauthd", "Another instance of saslauthd is currently running"))
        return OTHER_INSTANCE
    except (Exception, KeyboardInterrupt) as error:
        if code_of(error) is Exit.BUG:
            environment.stderr.writelines(traceback.format_exception(error))
        _say(environment, line_of(error).splitlines())
        return REFUSED
    return REFUSED if report.exit else 0


def _configuration(instance: Instance, arguments: Sequence[str]) -> Iterator[str]:
    yield f"# Made at each start from: {printable(shlex.join(['saslauthd', *arguments]))}"
    yield f"# What is changed here is lost then. To keep it: all of this but [control] is a beginning of {DEFAULT_PATH}."
    yield "#"
    yield "# What is not the same as with the original:"
    for note in (*instance.notes, *site.EVERYWHERE):
        yield f"# {printable(str(note))}"
    yield ""
    document = dict(originals.configuration([instance]))
    if instance.flags.foreground:  # where whoever started it looks
        document["log"] = {**document["log"], "to": "auto"}
    yield render_toml({**document, "control": {"path": f"{instance.flags.run_directory}/{CONTROL}"}}).rstrip("\n")


def _show_usage(environment: Environment, wrong: str) -> int:
    """The original exits with 0 even where a command line is wrong, and whoever started it believes that it runs."""
    environment.stderr.write(f"saslauthd: {printable(wrong)}\n" if wrong else "")
    environment.stderr.write(f"{_USAGE}\n{_version()}")
    return REFUSED if wrong else 0


def _version() -> str:
    return f"saslauthd-py {__version__}\nauthentication mechanisms: {' '.join(MECHANISMS)}\n\n"


def _say(environment: Environment, lines: Iterable[str]) -> None:
    """As the original does as long as it has a standard error; that nobody reads it is no reason not to start."""
    with contextlib.suppress(OSError):
        environment.stderr.writelines(f"saslauthd[{os.getpid()}] :{printable(line)}\n" for line in lines)
        environment.stderr.flush()
