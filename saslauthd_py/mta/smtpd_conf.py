"""libsasl's file of an application, such as smtpd.conf: in the directory that is really used, and those where it would be of no use."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from saslauthd_py.mta.distribution import Distribution
from saslauthd_py.mta.master_cf import Service
from saslauthd_py.mta.postfix import Postfix
from saslauthd_py.mta.programs import Unreadable

_LINE = re.compile(r"\s*(?P<key>[A-Za-z0-9_.-]+)\s*:\s*(?P<value>.*?)\s*")
_TAKEN = re.compile(r"[A-Za-z0-9_-]+:\s*\S")
_LARGEST = 1 << 20
_WELL_KNOWN = ("/etc/postfix/sasl", "/etc/sasl2", "/etc/sasl", "/usr/lib/sasl2", "/usr/lib64/sasl2", "/usr/lib/sasl")
_DEFAULT_METHOD = "auxprop"


@dataclass(frozen=True, slots=True)
class SaslConf:
    """`searched` are the files in the order in which libsasl looks for them; `path` the first that is there, None: none is.

    `elsewhere` are files of that name where libsasl does not look, or not any more. Keys of `options` are in lower case.
    """

    searched: tuple[str, ...]
    path: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    elsewhere: tuple[str, ...] = ()

    @property
    def methods(self) -> tuple[str, ...]:
        """Who is asked for a password, in this order."""
        return tuple(self.options.get("pwcheck_method", _DEFAULT_METHOD).lower().split())

    @property
    def mechanisms(self) -> tuple[str, ...] | None:
        """What is offered; None: whatever plugin is there."""
        words = self.options.get("mech_list")
        return None if words is None else tuple(words.upper().split())

    @property
    def log_level(self) -> int:
        """7 has passwords in the log (sasl.h: SASL_LOG_PASS)."""
        level = self.options.get("log_level", "")
        return int(level) if level.isdecimal() else 1


def find(postfix: Postfix, distribution: Distribution, service: Service | None = None) -> SaslConf:
    """The file of a Postfix whose smtpd_sasl_type is cyrus, as this service looks for it. Raises Unreadable: it cannot be read.

    smtpd reads it before it enters its chroot.
    """
    name = f"{postfix.value('smtpd_sasl_path', service) or 'smtpd'}.conf"
    searched = tuple(os.path.join(directory, name) for directory in directories(postfix, distribution))
    known = (os.path.join(postfix.config_directory, "sasl"), *_WELL_KNOWN, *_split(postfix.value("cyrus_sasl_config_path")))
    return first(searched, tuple(os.path.join(directory, name) for directory in known))


def first(searched: tuple[str, ...], known: tuple[str, ...] = ()) -> SaslConf:
    """The first of `searched` that is there; of `known`, what lies elsewhere. Raises Unreadable."""
    path = next((one for one in searched if os.path.isfile(one)), None)
    real = {os.path.realpath(one) for one in searched if path is None or one == path}
    elsewhere = tuple(dict.fromkeys(one for one in known if os.path.isfile(one) and os.path.realpath(one) not in real))
    return SaslConf(searched, path, read(path) if path is not None else {}, elsewhere)


def directories(postfix: Postfix, distribution: Distribution) -> tuple[str, ...]:
    """Where a Postfix has libsasl look. Debian's takes no notice of cyrus_sasl_config_path."""
    if distribution.forced_by_postfix:
        return tuple(os.path.join(postfix.config_directory, one) for one in distribution.forced_by_postfix)
    if named := _split(postfix.value("cyrus_sasl_config_path")):
        return named
    return _split(environment(postfix).get("SASL_CONF_PATH", "")) or distribution.sasl_directories


def plugin_directories(postfix: Postfix, distribution: Distribution) -> tuple[str, ...]:
    """Where it looks for mechanisms."""
    return _split(environment(postfix).get("SASL_PATH", "")) or distribution.plugin_directories()


def environment(postfix: Postfix) -> Mapping[str, str]:
    """What import_environment sets for Postfix's processes."""
    words = (word.partition("=") for word in re.split(r"[\s,]+", postfix.value("import_environment")))
    return {name: value for name, equals, value in words if equals}


def read(path: str) -> dict[str, str]:
    """The options in such a file; of a key given twice the first counts, as in libsasl. Raises Unreadable."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return parse(file.read(_LARGEST))
    except OSError as error:
        raise Unreadable(f"{path}: {(error.strerror or str(error)).lower()}") from None


def parse(text: str) -> dict[str, str]:
    """The options in the text of such a file (lib/config.c). Whatever is no option is passed over."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        option = _LINE.fullmatch(line)
        if option is not None and not line.lstrip().startswith("#"):
            found.setdefault(option["key"].lower(), option["value"])
    return found


def refused(path: str) -> int | None:
    """The first line at which libsasl gives the whole file up (lib/config.c), so that its program ends. None: no such; or no such file."""
    with suppress(OSError), open(path, encoding="utf-8", errors="surrogateescape") as file:
        options = ((number, line.strip()) for number, line in enumerate(file.read(_LARGEST).splitlines(), 1))
        return next((number for number, line in options if line and not line.startswith("#") and not _TAKEN.match(line)), None)
    return None


def _split(path: str) -> tuple[str, ...]:
    return tuple(filter(None, path.split(":")))
