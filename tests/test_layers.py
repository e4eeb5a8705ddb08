"""Who may import whom, read from the sources: each layer imports only what stands before it, and nothing that is not declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "saslauthd_py"

VOCABULARY = "identity secret credential keys verdict backend trace"
LAYERS: tuple[tuple[str, ...], ...] = (
    (VOCABULARY,),
    ("wire", "mechanisms", "passwords", "config.settings"),
    ("config.legacy",),
    ("config.load",),
    ("privileges",),  # it says who a listener's owner is
    ("queue", "generations", "stamps", "waits"),
    ("store", "sasldb", "password_lines", "listeners", "notify", "hashing", "workers", "remote"),
    ("keying", "watching", "standings"),  # SCRAM keys of stored credentials; indexes of files that others write; answers of workers
    ("monitor",),  # it binds listeners and notifies
    ("backends",),
    ("log", "metrics", "routing", "rules", "proxy_users", "cache", "admission"),
    ("steps",),  # what the authenticator tells a trace
    ("authenticator",),
    ("front", "control"),
    ("app",),
    ("transfer", "mta"),
    ("setup",),
    ("doctor",),  # the commands stand in cli
    ("cli",),
    ("__main__",),
)
"""From the bottom up. A layer's units never import each other; within a unit (here one string) everything may."""

UNITS = {module: unit for layer in LAYERS for unit in layer for module in unit.split()}
LEVELS = {unit: level for level, layer in enumerate(LAYERS) for unit in layer}

ONLY_FOR = {
    "config.load": {"app", "cli", "monitor"},
    "config.legacy": {"cli", "config.load"},
    "backends": {"app"},
}
WITH_TRIO = {"queue", "waits", "hashing", "workers", "remote", "watching", "standings"}
WITH_TRIO |= {unit for unit, level in LEVELS.items() if level >= LEVELS["backends"]} - {"transfer"}
BANNED_NAMES = {"utils", "helpers", "common", "base", "core", "types"}
MAX_LINES = 400
PROJECTS = {
    "argon2": "argon2-cffi",
    "prometheus_client": "prometheus-client",
    "pam": "python-pam",
    "passlib": "libpass",
    "pydantic_core": "pydantic",
}
"""Where a module is called otherwise than the project that brings it; pydantic requires the one version of its core that fits."""


class Module(NamedTuple):
    """A source and where it stands. `name` has no `saslauthd_py.` before it; the package itself is ''."""

    name: str
    source: str
    is_package: bool

    @property
    def unit(self) -> str | None:
        """The unit of LAYERS that it belongs to."""
        return unit_of(self.name)


def unit_of(name: str) -> str | None:
    """The unit whose name is the longest beginning of this one."""
    parts = name.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((UNITS[prefix] for prefix in prefixes if prefix in UNITS), None)


def holds_units(name: str) -> bool:
    """A package that only keeps units of several layers together: `saslauthd_py` and `config`."""
    return not name or any(unit.startswith(f"{name}.") for unit in UNITS)


def read(sources: Mapping[str, str]) -> dict[str, Module]:
    """Modules by name, from sources by path below the package."""
    modules = {}
    for path, source in sources.items():
        parts = path.removesuffix(".py").split("/")
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        modules[name] = Module(name, source, is_package)
    return modules


def imported(module: Module, modules: Mapping[str, Module]) -> Iterator[tuple[int, str | None]]:
    """Line and absolute name of all that a module imports: at its top, in functions, under TYPE_CHECKING; None: unreadable."""
    for node in ast.walk(ast.parse(module.source)):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield node.lineno, alias.name
            case ast.ImportFrom(names=names):
                origin = absolute(module, node)
                for alias in names:
                    whole = f"{origin}.{alias.name}"
                    yield node.lineno, whole if whole.removeprefix(f"{PACKAGE}.") in modules else origin
            case ast.Call(func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"), args=[name, *_]):
                yield node.lineno, spelled(name)


def spelled(name: ast.expr) -> str | None:
    """The module in a call that imports one, as far as it stands in the source; None where not even its beginning does."""
    match name:
        case ast.Constant(value=str(whole)):
            return whole
        case ast.JoinedStr(values=[ast.Constant(value=str(beginning)), *_]) if "." in beginning:
            return beginning.rpartition(".")[0]
    return None


def absolute(module: Module, node: ast.ImportFrom) -> str:
    """The name after `from`, with its leading dots resolved."""
    if not node.level:
        return node.module or ""
    here = [PACKAGE, *filter(None, module.name.split("."))]
    up = node.level - 1 if module.is_package else node.level
    return ".".join([*here[: len(here) - up], *filter(None, [node.module])])


def breaches(sources: Mapping[str, str], projects: set[str]) -> list[str]:
    """One line for each breach; `projects` are those that may be imported from outside."""
    modules = read(sources)
    found = []
    for module in modules.values():
        found += [f"{module.name or PACKAGE}: {breach}" for breach in misplaced(module)]
        for line, name in imported(module, modules):
            breach = judge(module, name, projects)
            if breach:
                found.append(f"{module.name or PACKAGE}:{line}: {breach}")
    return found


def misplaced(module: Module) -> Iterator[str]:
    """What is wrong with a module before its imports are looked at."""
    if module.unit is None and not (module.is_package and holds_units(module.name)):
        yield "stands in no layer: place it in LAYERS"
    for word in BANNED_NAMES.intersection(module.name.split(".")):
        yield f"{word!r} names nothing: call it what it is about"
    lines = module.source.count("\n")
    if lines > MAX_LINES:
        yield f"{lines} lines, over {MAX_LINES}: take it apart"


def judge(module: Module, name: str | None, projects: set[str]) -> str | None:
    """What is wrong with one import, or None."""
    if name is None:
        return 'imports a name made at run time: begin it in the source, f"saslauthd_py.cli.{name}"'
    top, _, target = name.partition(".")
    if top == PACKAGE:
        return judge_own(module, target)
    if top == "trio" and module.unit not in WITH_TRIO:
        return "imports trio, below the layers that run under it"
    if top == "ldap3" and module.unit == "monitor":
        return "imports ldap3, and runs as root"
    if top in sys.stdlib_module_names or PROJECTS.get(top, top).lower() in projects:
        return None
    return f"imports {top}, which pyproject.toml does not declare"


def judge_own(module: Module, target: str) -> str | None:
    """What is wrong with one import from the package itself, or None."""
    unit, other = module.unit, unit_of(target)
    if other is None:
        return None if holds_units(target) else f"imports {target}, which stands in no layer"
    if unit is None:
        return f"imports {target}: a package that holds several layers imports none of them"
    if unit == other:
        return f"a backend imports {target}, another one" if unit == "backends" and not same_backend(module.name, target) else None
    if LEVELS[other] >= LEVELS[unit]:
        return f"imports {target}, which does not stand before {unit}"
    if unit not in ONLY_FOR.get(other, {unit}):
        return f"imports {target}, which is only for {', '.join(sorted(ONLY_FOR[other]))}"
    if other in WITH_TRIO and unit not in WITH_TRIO:
        return f"imports {target}, and trio with it"
    return None


def same_backend(name: str, target: str) -> bool:
    """Whether two modules of `backends` are of one backend. The package itself is nobody's, and imports none."""
    return target == "backends" or name.split(".")[1:2] == target.split(".")[1:2]


def declared() -> set[str]:
    """The projects that pyproject.toml declares, extras too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *(item for extra in project.get("optional-dependencies", {}).values() for item in extra)]
    return {re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower() for requirement in requirements}


def test_each_layer_imports_only_what_stands_before_it() -> None:
    folder = ROOT / PACKAGE
    sources = {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*.py"))}
    assert "verdict.py" in sources
    found = breaches(sources, declared())
    assert not found, "\n".join(found)


def test_what_is_declared_is_read_from_pyproject() -> None:
    assert {"trio", "argon2-cffi", "pydantic"} <= declared()
    assert "pytest" not in declared()


TREE = {
    "__init__.py": "",
    "identity.py": "import unicodedata\n",
    "verdict.py": "from saslauthd_py.identity import Identity\n",
    "wire/__init__.py": "",
    "wire/saslauthd.py": "from .. import identity\nfrom saslauthd_py import __version__\n",
    "passwords/__init__.py": "from saslauthd_py.passwords.crypt import verify\nfrom .crypt import make\n",
    "passwords/crypt.py": "import argon2\n",
    "config/__init__.py": "",
    "config/settings/__init__.py": "import pydantic\n",
    "config/load.py": "from saslauthd_py.config import settings\n",
    "store/__init__.py": "import sqlite3\n",
    "hashing.py": "import trio\nimport saslauthd_py.passwords.crypt\n",
    "monitor/__init__.py": "",
    "backends/__init__.py": "",
    "backends/store.py": "import trio\nfrom saslauthd_py import hashing, store\n",
    "backends/ldap/__init__.py": "from saslauthd_py.backends.ldap import pool\nimport saslauthd_py.backends\n",
    "backends/ldap/pool.py": "",
    "app.py": "def table():\n    from saslauthd_py.backends.ldap import pool\n    from saslauthd_py.config.load import load\n",
    "cli/__init__.py": "import saslauthd_py.app\n",
    "cli/main.py": "import importlib\nimportlib.import_module(f'saslauthd_py.cli.{name}')\n",
}
PROJECTS_OF_TREE = {"trio", "argon2-cffi", "pydantic"}


def test_a_tree_in_order_has_no_breach() -> None:
    assert breaches(TREE, PROJECTS_OF_TREE) == []


@pytest.mark.parametrize(
    ("path", "source", "breach"),
    [
        ("identity.py", "import saslauthd_py.wire.saslauthd\n", "identity:1: imports wire.saslauthd, which does not stand before"),
        (
            "wire/saslauthd.py",
            "from saslauthd_py import passwords\n",
            "wire.saslauthd:1: imports passwords, which does not stand before wire",
        ),
        ("wire/saslauthd.py", "from ..passwords import verify\n", "wire.saslauthd:1: imports passwords, which does not stand before wire"),
        ("wire/__init__.py", "from ..passwords import verify\n", "wire:1: imports passwords, which does not stand before wire"),
        ("wire/saslauthd.py", "def late():\n    import saslauthd_py.app\n", "wire.saslauthd:2: imports app,"),
        ("wire/saslauthd.py", "if TYPE_CHECKING:\n    from saslauthd_py.app import App\n", "wire.saslauthd:2: imports app,"),
        ("wire/saslauthd.py", "import importlib\nimportlib.import_module('saslauthd_py.app')\n", "wire.saslauthd:2: imports app,"),
        ("wire/saslauthd.py", "__import__('saslauthd_py.app')\n", "wire.saslauthd:1: imports app,"),
        ("wire/saslauthd.py", "__import__(f'saslauthd_py.cli.{name}')\n", "wire.saslauthd:1: imports cli,"),
        ("app.py", "import importlib\nimportlib.import_module(name)\n", "app:2: imports a name made at run time"),
        ("app.py", "__import__(f'saslauthd_{name}')\n", "app:1: imports a name made at run time"),
        ("store/__init__.py", "import saslauthd_py.hashing\n", "store:1: imports hashing, which does not stand before store"),
        ("config/settings/__init__.py", "import saslauthd_py.config.load\n", "config.settings:1: imports config.load, which does not"),
        (
            "store/__init__.py",
            "from saslauthd_py.config import load\n",
            "store:1: imports config.load, which is only for app, cli, monitor",
        ),
        ("app.py", "import saslauthd_py.config.legacy.conf\n", "app:1: imports config.legacy.conf, which is only for cli"),
        ("cli/__init__.py", "import saslauthd_py.backends.store\n", "cli:1: imports backends.store, which is only for app"),
        (
            "backends/ldap/pool.py",
            "import saslauthd_py.backends.store\n",
            "backends.ldap.pool:1: a backend imports backends.store, another",
        ),
        ("backends/__init__.py", "from saslauthd_py.backends import store\n", "backends:1: a backend imports backends.store, another"),
        ("config/__init__.py", "from .load import load\n", "config:1: imports config.load: a package that holds several layers"),
        ("__init__.py", "from saslauthd_py import app\n", "saslauthd_py:1: imports app: a package that holds several layers"),
        ("store/__init__.py", "def wait():\n    import trio\n", "store:2: imports trio, below"),
        ("monitor/__init__.py", "from trio import lowlevel\n", "monitor:1: imports trio, below"),
        ("monitor/__init__.py", "import saslauthd_py.hashing\n", "monitor:1: imports hashing, and trio with it"),
        ("monitor/__init__.py", "import ldap3\n", "monitor:1: imports ldap3, and runs as root"),
        ("wire/saslauthd.py", "import trio.socket\n", "wire.saslauthd:1: imports trio, below"),
        ("app.py", "import requests.sessions\n", "app:1: imports requests, which pyproject.toml does not declare"),
        ("app.py", "import saslauthd_py.elsewhere\n", "app:1: imports elsewhere, which stands in no layer"),
        ("elsewhere.py", "", "elsewhere: stands in no layer"),
        ("config/elsewhere.py", "", "config.elsewhere: stands in no layer"),
        ("wire/utils.py", "", "wire.utils: 'utils' names nothing"),
        ("front/base/loop.py", "", "front.base.loop: 'base' names nothing"),
        ("app.py", "\n" * 401, "app: 401 lines, over 400"),
    ],
)
def test_a_planted_breach_is_found(path: str, source: str, breach: str) -> None:
    found = breaches({**TREE, path: source}, PROJECTS_OF_TREE)
    assert len(found) == 1
    assert found[0].startswith(breach)
