"""A place with a configuration and a store of its own, and the package installed where `python -I` and every user find it."""

from __future__ import annotations

import shutil
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

import saslauthd_py
from tests.cli.sites import Site


@pytest.fixture
def site() -> Iterator[Site]:
    """Not below tmp_path, which is closed to the store's owner when root runs the tests."""
    directory = Path(tempfile.mkdtemp(prefix="saslauthd-py-"))
    directory.chmod(0o755)
    site = Site(directory)
    site.configure()
    yield site
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def installed() -> Iterator[list[str]]:
    """The command, in an environment with this package and the dependencies of the one that runs the tests."""
    directory = Path(tempfile.mkdtemp(prefix="saslauthd-py-installed-"))
    directory.chmod(0o755)
    venv.create(directory, symlinks=True)
    (packages,) = directory.glob("lib/python*/site-packages")
    shutil.copytree(Path(saslauthd_py.__file__).parent, packages / "saslauthd_py", ignore=shutil.ignore_patterns("__pycache__"))
    (packages / "dependencies.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")))
    yield [str(directory / "bin" / "python"), "-I", "-m", "saslauthd_py"]
    shutil.rmtree(directory)
