"""The distributions, as they would be published: the sdist from the tree, the wheel from the sdist."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def uv() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Call uv, with the project's own cache."""
    program = Path(sys.executable).with_name("uv")
    environment = {"UV_CACHE_DIR": str(REPOSITORY / ".cache" / "uv"), **os.environ, "UV_PYTHON_DOWNLOADS": "never"}

    def call(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([program, *arguments], env=environment, cwd=REPOSITORY, capture_output=True, text=True)
        assert not check or done.returncode == 0, done.stderr
        return done

    return call


@pytest.fixture(scope="session")
def distributions(uv: Callable[..., object], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the sdist and the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--offline", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel
