"""ministack, another emulator of DynamoDB and SSM, in a process and an environment of its own."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from spot_runner_provider.embedded.server import EmbeddedAws

PYTHON = Path(__file__).parents[2] / ".venv-ministack/bin/python"

NEEDED = pytest.mark.needs("ministack")

EMULATORS = ["moto", pytest.param("ministack", marks=NEEDED)]

SETTINGS = {
    "MINISTACK_ACCOUNT_ID": EmbeddedAws.account,
    "SERVICES": "dynamodb,ssm",
    "IOT_MTLS_ENABLED": "0",
    "SFTP_ENABLED": "0",
    "LOG_LEVEL": "WARNING",
}


class Ministack:
    """``with Ministack() as ministack: ministack.url``."""

    def __enter__(self) -> Self:
        """Start it on a socket that listens already, so that the port is free and the first call waits."""
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            options = f"--bind fd://{listener.fileno()} --workers 0 --keep-alive 75"
            self._process = subprocess.Popen(
                [PYTHON, "-m", "hypercorn", "ministack.app:app", *options.split()],
                env={"PATH": os.environ["PATH"], **SETTINGS},
                pass_fds=[listener.fileno()],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()

    def empty(self) -> None:
        """Forget everything."""
        with build_opener(ProxyHandler({})).open(Request(f"{self.url}/_ministack/reset", b"")):
            pass
