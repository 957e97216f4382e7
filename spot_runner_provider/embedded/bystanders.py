"""Bystanders: others who act at exactly the wrong moment."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from werkzeug.wrappers import Response

from spot_runner_provider.embedded.call import ApiCall, Handler

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Bystanders:
    """The layer that runs an action once, right before the first call that fits is applied.

    >>> bystanders = Bystanders(lambda call, environ: Response("put"))
    >>> bystanders.before("ssm.*", "/spot-runner/configs/*", lambda: print("somebody edits the parameter"))
    >>> put = ApiCall("ssm.PutParameter", {}, ("/spot-runner/configs/linux-x64",), "us-east-1")
    >>> bystanders(put, {}).get_data(), bystanders(put, {}).get_data()
    somebody edits the parameter
    (b'put', b'put')
    """

    def __init__(self, inner: Handler) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._waiting: list[tuple[str, str | None, Callable[[], object]]] = []

    def before(self, operation: str, key: str | None, action: Callable[[], object]) -> None:
        """Run ``action`` right before a call that fits the patterns ``operation`` and ``key``."""
        with self._lock:
            self._waiting.append((operation, key, action))

    def clear(self) -> None:
        """Forget the actions that have not run yet.

        >>> bystanders = Bystanders(lambda call, environ: Response("put"))
        >>> bystanders.before("*", None, lambda: print("never"))
        >>> bystanders.clear()
        >>> bystanders(ApiCall("ssm.PutParameter", {}, (), "us-east-1"), {}).get_data()
        b'put'
        """
        with self._lock:
            self._waiting.clear()

    def __call__(self, call: ApiCall, environ: "WSGIEnvironment") -> Response:
        """Run the actions that are due, then pass the call on."""
        if not call.bystander:
            with self._lock:
                due = [entry for entry in self._waiting if call.matches(entry[0], entry[1])]
                self._waiting = [entry for entry in self._waiting if entry not in due]
            for _, _, action in due:
                action()
        return self._inner(call, environ)
