"""The embedded AWS itself: one process, one port."""

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from moto.core.base_backend import BackendDict
from werkzeug.wrappers import Response

from spot_runner_provider.embedded.clients import make_client
from spot_runner_provider.embedded.control import PREFIX, Control
from spot_runner_provider.embedded.http_server import HttpServer
from spot_runner_provider.embedded.imagebuilder import register
from spot_runner_provider.embedded.layers import Layers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_only_one = threading.Lock()


class EmbeddedAws(Layers):
    """An AWS on 127.0.0.1, empty when it starts: ``with EmbeddedAws() as aws: aws.client("dynamodb")``.

    moto keeps its state in the process, so one process has one embedded AWS at a time.

    :param port: 0 for any free one
    :param region: the region of the clients that :meth:`client` creates
    :param seed: the seed of the faults' probabilities
    :param upstream: URL of another emulator whose DynamoDB and SSM are used instead of moto's; it is not emptied

    >>> with EmbeddedAws(region="eu-central-1") as aws:
    ...     table_names = aws.client("dynamodb").list_tables()["TableNames"]
    ...     aws.calls(), [(call.operation, call.region) for call in aws.call_log()]
    ({'dynamodb.ListTables': 1}, [('dynamodb.ListTables', 'eu-central-1')])
    """

    def __init__(self, port: int = 0, region: str = "us-east-1", seed: int = 0, upstream: str | None = None) -> None:
        super().__init__(region, seed, upstream)
        self._port = port
        self._control = Control(self)

    def __enter__(self) -> "EmbeddedAws":
        """Start.

        :raises OSError: when the port is taken
        :raises RuntimeError: when this process has an embedded AWS already
        """
        if not _only_one.acquire(blocking=False):
            raise RuntimeError("This process has an embedded AWS already, and moto has but one state.")
        try:
            register()
            BackendDict.reset()
            self._server = HttpServer(self._port, self._respond)
        except BaseException:
            _only_one.release()
            raise
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; calls that are still in progress are not applied."""
        self._server.stop()
        self.close()
        _only_one.release()

    @property
    def endpoint_url(self) -> str:
        """Such as ``http://127.0.0.1:5555``."""
        return self._server.url

    def client(self, service: str, config: Config | None = None, *, bystander: bool = False) -> Any:
        """Return a boto3 client of this AWS, with dummy credentials and without proxies.

        :param service: as boto3 names it, such as ``ssm``
        :param config: botocore's
        :param bystander: for seeds, checks and anybody else but the code under test: its calls are neither counted
            nor delayed, throttled or disturbed

        >>> names = aws.client("dynamodb", bystander=True).list_tables()["TableNames"]
        >>> aws.calls()
        {}
        """
        return make_client(self.endpoint_url, self.region, service, config, bystander=bystander)

    def _respond(self, environ: "WSGIEnvironment") -> Response:
        if environ["PATH_INFO"].startswith(PREFIX):
            return self._control(environ)
        return self.respond(environ)
