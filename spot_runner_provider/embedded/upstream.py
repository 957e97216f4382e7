"""DynamoDB and SSM from another emulator; Image Builder stays the embedded one."""

from typing import TYPE_CHECKING

from urllib3 import HTTPConnectionPool, connection_from_url
from werkzeug.wrappers import Request, Response

from spot_runner_provider.embedded.call import ApiCall, Handler

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SERVICES = ("dynamodb", "ssm")
CONNECTIONS = 64


class Upstream:
    """The innermost layer: it passes the calls of :data:`SERVICES` on to ``url``, and the others to ``inner``.

    >>> from spot_runner_provider.embedded.http_server import HttpServer
    >>> from werkzeug.test import create_environ
    >>> other = HttpServer(0, lambda environ: Response("there"))
    >>> other.start()
    >>> upstream = Upstream(lambda call, environ: Response("here"), other.url)
    >>> for operation in ("ssm.GetParameters", "imagebuilder.GetImage"):
    ...     upstream(ApiCall(operation, {}, (), "us-east-1"), create_environ()).get_data()
    b'there'
    b'here'
    >>> upstream.close()
    >>> other.stop()
    """

    def __init__(self, inner: Handler, url: str) -> None:
        self._inner = inner
        self._pool: HTTPConnectionPool = connection_from_url(url, maxsize=CONNECTIONS)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def __call__(self, call: ApiCall, environ: "WSGIEnvironment") -> Response:
        """Answer what the other emulator answers."""
        if call.service not in SERVICES:
            return self._inner(call, environ)
        request = Request(environ)
        answer = self._pool.request(
            request.method, request.path, body=request.get_data(), headers=dict(request.headers), retries=False
        )
        return Response(answer.data, answer.status, list(answer.headers.items()))
