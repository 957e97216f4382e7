"""A threaded HTTP/1.1 server on the loopback interface that keeps connections alive.

Werkzeug's own handler closes the connection after each answer, which costs clients a new one for each call.
"""

import io
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import ThreadedWSGIServer
from werkzeug.wrappers import Response

from spot_runner_provider.embedded.call import ConnectionDropped

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

HOST = "127.0.0.1"
NEGOTIATED_HERE = {"connection", "content-length", "date", "transfer-encoding"}

logger = logging.getLogger(__name__)


class HttpServer(ThreadedWSGIServer):
    """Answers each request by ``respond``, in a thread for each connection; a stopped server has none left.

    :param port: 0 for any free one
    :raises OSError: when the port is taken

    >>> from urllib.request import urlopen
    >>> server = HttpServer(0, lambda environ: Response(environ["PATH_INFO"]))
    >>> server.start()
    >>> urlopen(f"{server.url}/health").read()
    b'/health'
    >>> server.stop()
    """

    def __init__(self, port: int, respond: "Callable[[WSGIEnvironment], Response]") -> None:
        self.respond = respond
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        with socket.create_server((HOST, port), backlog=128) as listener:
            super().__init__(HOST, listener.getsockname()[1], _no_wsgi, _RequestHandler, fd=listener.fileno())
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Where the server is, without a trailing slash."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Answer from now on, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Accept no more connections and close the open ones."""
        self.shutdown()
        self._thread.join()
        with self._connections_lock:
            for connection in self._connections:
                _shut(connection)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Remember the connection that was accepted."""
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._connections_lock:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection that ended."""
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)


class _RequestHandler(MotoRequestHandler):
    server: HttpServer

    def run_wsgi(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        environ = self.make_environ()
        environ["wsgi.input"] = io.BytesIO(body)
        try:
            response = self.server.respond(environ)
        except ConnectionDropped:
            self.close_connection = True
            return
        except Exception:
            logger.exception("%s %s", self.command, self.path)
            response = Response("The embedded AWS failed; see its log.", HTTPStatus.INTERNAL_SERVER_ERROR)
        content = response.get_data()
        headers = [(name, value) for name, value in response.headers if name.lower() not in NEGOTIATED_HERE]
        headers += [("Date", self.date_time_string()), ("Content-Length", str(len(content)))]
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self.wfile.write(f"HTTP/1.1 {response.status}\r\n{head}\r\n".encode("latin-1") + content)


def _no_wsgi(environ: object, start_response: object) -> list[bytes]:
    raise NotImplementedError("Requests are answered by `respond`.")


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # The client may have been faster.
        connection.shutdown(socket.SHUT_RDWR)
