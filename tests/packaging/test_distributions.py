"""What is in the distributions."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from spot_runner_provider import __version__
from tests.packaging.conftest import REPOSITORY

STEM = f"airflow_provider_spot_runner-{__version__}"


def package_files() -> set[str]:
    """Return the files of the package in the tree."""
    files = (path for path in (REPOSITORY / "spot_runner_provider").rglob("*") if path.is_file())
    return {path.relative_to(REPOSITORY).as_posix() for path in files if path.parent.name != "__pycache__"}


def test_a_registry_would_take_them(distributions: tuple[Path, Path]) -> None:
    command = [sys.executable, "-m", "twine", "--no-color", "check", "--strict", *distributions]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout.count("PASSED")) == (0, 2), done.stdout + done.stderr


def test_the_wheel_holds_the_package_and_its_license_alone(distributions: tuple[Path, Path]) -> None:
    _, wheel = distributions
    assert wheel.name == f"{STEM}-py3-none-any.whl"
    names = set(zipfile.ZipFile(wheel).namelist())
    of_package = {name for name in names if not name.startswith(f"{STEM}.dist-info/")}
    assert of_package == package_files()
    assert of_package > {f"spot_runner_provider/{name}" for name in ("py.typed", "status/page/page.js")}
    assert f"{STEM}.dist-info/licenses/LICENSE" in names


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "docs/how-to/install.md"])
def test_the_sdist_holds(distributions: tuple[Path, Path], name: str) -> None:
    with tarfile.open(distributions[0]) as sdist:
        assert f"{STEM}/{name}" in sdist.getnames()


def test_the_sdist_holds_no_more_than_the_project(distributions: tuple[Path, Path]) -> None:
    with tarfile.open(distributions[0]) as sdist:
        top = {name.split("/")[1] for name in sdist.getnames() if "/" in name}
    folders = {"spot_runner_provider", "dags", "docs", "tests"}
    assert top == folders | {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "PKG-INFO", ".gitignore"}
