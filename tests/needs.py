"""What some tests need besides the locked packages: whether it is there, and how to get it.

A test names it: ``pytestmark = pytest.mark.needs("chromium")``. Where it is missing the test is skipped, and one line
of the summary says so for all of them. In CI (the variable ``CI`` is set) the test fails instead.

``python -m tests.needs`` installs what Debian has, if root calls it, and says what is still missing. It ends with 1 if
one of the names that it is given is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True)
class Need:
    """Something that the locked packages do not bring.

    :param is_there: whether it is there
    :param advice: how to get it
    :param package: the Debian package that has it, if one does
    """

    is_there: Callable[[], bool]
    advice: str
    package: str = ""


def debian(program: str, package: str) -> Need:
    """Return the need of a program that Debian has."""
    return Need(lambda: shutil.which(program) is not None, f"apt-get install {package}", package)


def uv(*arguments: str) -> bool:
    """Return whether uv succeeds, which downloads no Python."""
    environment = os.environ | {"UV_PYTHON_DOWNLOADS": "never"}
    return (
        subprocess.run([UV, *arguments], env=environment, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0
    )


def registry_answers() -> bool:
    """Return whether a small package can be had from a registry, whatever is in uv's cache."""
    with tempfile.TemporaryDirectory() as folder:
        return uv("pip", "install", "--dry-run", "--no-cache", "--quiet", "--target", folder, "editables")


NEEDS = {
    "chromium": debian("chromium", "chromium"),
    "make": debian("make", "make"),
    "redis-server": debian("redis-server", "redis-server"),
    "Python 3.11 or 3.12": Need(lambda: uv("python", "find", ">=3.11,<3.13"), "put it into the PATH"),
    "ministack": Need((REPOSITORY / ".venv-ministack/bin/python").exists, "make .venv-ministack/.installed"),
    "a package registry": Need(registry_answers, "connect to the network"),
}


@cache
def is_missing(name: str) -> bool:
    """Return whether a need is not met; it is looked for once."""
    return not NEEDS[name].is_there()


FILES: defaultdict[str, set[str]] = defaultdict(set)
"""Need -> the files of the tests that are to run and have it."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Remember which files need what."""
    for item in items:
        for name in needs_of(item):
            FILES[name].add(item.location[0])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail before any fixture is made. The reason is the same for all, so that pytest prints it once."""
    for name in filter(is_missing, needs_of(item)):
        reason = f"{name} is missing ({NEEDS[name].advice}) for {', '.join(sorted(FILES[name]))}"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def needs_of(item: pytest.Item) -> Iterator[str]:
    """Yield what a test needs."""
    for marker in item.iter_markers("needs"):
        yield from marker.args


POLICY = Path("/usr/sbin/policy-rc.d")
"""What Debian asks before it starts the service of a package."""


@contextmanager
def no_services_started() -> Iterator[None]:
    """Keep Debian from starting services: only their programs are wanted."""
    if POLICY.exists():
        yield
        return
    try:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def install(packages: list[str]) -> None:
    """Install Debian packages without their services; what goes wrong is told in apt-get's own words."""
    print(f"apt-get install {' '.join(packages)} ...", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    apt_get = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    with no_services_started():
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
            done = subprocess.run(
                [*apt_get, *command], env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
            )
            if done.returncode:
                print(done.stderr.strip(), file=sys.stderr)
                return


def main(wanted: list[str]) -> int:
    """Install what is missing, if that can be done, and say what is still missing."""
    programs = {name: need for name, need in NEEDS.items() if need.package}
    missing = [need.package for need in programs.values() if not need.is_there()]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        install(missing)
    without = [name for name, need in programs.items() if not need.is_there()]
    for name in without:
        print(f"{name} is missing ({NEEDS[name].advice}); tests that need it cannot run.", file=sys.stderr)
    return int(bool(set(wanted) & set(without)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
