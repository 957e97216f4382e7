"""``python scripts/alone.py FILE REFUSAL COMMAND ...``: run a command, unless another holds the lock ``FILE``.

The command replaces this process, and holds the lock until it ends in any way. If it cannot start, the exit code is 75,
``EX_TEMPFAIL``.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path
from typing import NoReturn


def refuse(why: str) -> NoReturn:
    """Print why the command does not start."""
    print(why, file=sys.stderr)
    sys.exit(os.EX_TEMPFAIL)


def main(file: str, refusal: str, *command: str) -> NoReturn:
    """Take the lock and become the command, or exit."""
    path = Path(file)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        refuse(refusal)
    except OSError as error:
        refuse(f"This folder cannot be written to: {error}")
    os.set_inheritable(lock, True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
