"""The innermost layers: moto, one call at a time."""

import threading
from typing import TYPE_CHECKING

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.wrappers import Response

from spot_runner_provider.embedded.call import ApiCall, ConnectionDropped, Handler

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment


class Moto:
    """moto's server application. It searches the disk for a service's backend, so each is searched for once.

    >>> from werkzeug.test import EnvironBuilder
    >>> signature = "AWS4-HMAC-SHA256 Credential=testing/20260211/us-east-1/ssm/aws4_request, ..."
    >>> headers = {"X-Amz-Target": "AmazonSSM.DescribeParameters", "Authorization": signature}
    >>> environ = EnvironBuilder(method="POST", headers=headers, data="{}").get_environ()
    >>> Moto()(ApiCall("ssm.DescribeParameters", {}, (), "us-east-1"), environ).status_code
    200
    """

    def __init__(self) -> None:
        self._dispatcher = DomainDispatcherApplication(create_backend_app)
        self._backends: dict[tuple[str, str], WSGIApplication] = {}

    def __call__(self, call: ApiCall, environ: "WSGIEnvironment") -> Response:
        """Apply the call."""
        name = (call.service, environ.get("HTTP_X_AMZ_TARGET", "").partition(".")[0])
        if name not in self._backends:
            self._backends[name] = self._dispatcher.get_application(environ)
        return Response.from_app(self._backends[name], environ, buffered=True)


class OneAtATime:
    """The layer that makes calls atomic: DynamoDB's conditional writes are atomic, moto's are not.

    >>> one_at_a_time = OneAtATime(lambda call, environ: Response("put"))
    >>> put = ApiCall("ssm.PutParameter", {}, ("/spot-runner/configs/linux-x64",), "us-east-1")
    >>> one_at_a_time(put, {}).get_data()
    b'put'
    >>> one_at_a_time.close()
    >>> one_at_a_time(put, {})
    Traceback (most recent call last):
        ...
    spot_runner_provider.embedded.call.ConnectionDropped
    """

    def __init__(self, inner: Handler) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Apply no further call, once the present one is done."""
        with self._lock:
            self._closed = True

    def __call__(self, call: ApiCall, environ: "WSGIEnvironment") -> Response:
        """Pass the call on when no other one is being applied."""
        with self._lock:
            if self._closed:
                raise ConnectionDropped
            return self._inner(call, environ)
