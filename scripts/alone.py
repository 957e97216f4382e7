"""``python scripts/alone.py FILE REFUSAL COMMAND ...``: run a command, unless another holds the lock ``FILE``.

The command takes this process over and holds the lock until it ends, however it ends. A refusal's exit code is 75,
``EX_TEMPFAIL``.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path


def main(file: str, refusal: str, *command: str) -> None:
    """Take the lock and become the command, or refuse."""
    path = Path(file)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    except OSError as error:
        sys.exit(f"This folder cannot be written to: {error}")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(refusal, file=sys.stderr)
        sys.exit(os.EX_TEMPFAIL)
    os.set_inheritable(lock, True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
