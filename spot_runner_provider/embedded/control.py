"""The same controls over HTTP, for an embedded AWS in a process of its own.

========================== ==========================================================================
GET  /embedded/calls       operation -> number of calls
GET  /embedded/log         every call: operation, keys, body, status, scanned_count
GET  /embedded/hits        kind of fault -> number of calls that it hit
GET  /embedded/held        the calls that are held; ``?count=1&timeout=10`` waits for them
POST /embedded/reset       forget calls, faults, latencies and rates; drop held calls
POST /embedded/empty       the same, and forget all records
POST /embedded/faults      add one fault: the fields of :class:`.Fault`
POST /embedded/seed        ``{"seed": 7}`` of the faults' probabilities
POST /embedded/latency     ``{"seconds": 0.05, "operation": "ssm.*"}``
POST /embedded/rate        ``{"operation": "ssm.PutParameter", "per_second": 3, "burst": 1}``
POST /embedded/release     ``{"apply": true}``
POST /embedded/images      add an image: ``pipeline`` (name or ARN) and what else
                           :meth:`.ImageBuilderBackend.add_image` takes; answered by its ARN
========================== ==========================================================================
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

import werkzeug.wrappers
from botocore.config import Config
from moto.core.exceptions import ServiceException
from werkzeug.wrappers import Response

from spot_runner_provider.embedded.call import ApiCall
from spot_runner_provider.embedded.clients import make_client
from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.embedded.imagebuilder.models import Ami
from spot_runner_provider.embedded.layers import Layers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

PREFIX = "/embedded/"


class Control:
    """Answers requests under ``/embedded/``.

    >>> from urllib.request import urlopen
    >>> names = aws.client("dynamodb").list_tables()["TableNames"]
    >>> json.load(urlopen(f"{aws.endpoint_url}/embedded/calls"))
    {'dynamodb.ListTables': 1}
    """

    def __init__(self, aws: Layers) -> None:
        self._aws = aws

    def __call__(self, environ: "WSGIEnvironment") -> Response:
        """Answer with JSON: 404 for an unknown path, 400 for invalid arguments."""
        request = werkzeug.wrappers.Request(environ)
        try:
            if request.method == "GET":
                answer = self._get(request.path.removeprefix(PREFIX), request.args)
            else:
                answer = self._post(request.path.removeprefix(PREFIX), json.loads(request.get_data() or "{}"))
        except LookupError:
            return _json({"error": f"no {request.method} {request.path}"}, HTTPStatus.NOT_FOUND)
        except (TypeError, ValueError, ServiceException) as error:
            return _json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        return _json(answer, HTTPStatus.OK)

    def _get(self, name: str, arguments: Any) -> Any:
        match name:
            case "calls":
                return self._aws.calls()
            case "log":
                return [asdict(call) for call in self._aws.call_log()]
            case "hits":
                return self._aws.faults_hit()
            case "held":
                count, timeout = int(arguments.get("count", 0)), float(arguments.get("timeout", 0))
                return [asdict(call) for call in self._aws.wait_until_held(count, timeout)]
        raise LookupError(name)

    def _post(self, name: str, arguments: dict[str, Any]) -> Any:
        match name:
            case "reset":
                return self._aws.reset()
            case "empty":
                return self._aws.empty()
            case "faults":
                return self._aws.add_fault(Fault(**arguments))
            case "seed":
                return self._aws.set_seed(**arguments)
            case "latency":
                return self._aws.set_latency(**arguments)
            case "rate":
                return self._aws.set_rate(**arguments)
            case "release":
                return self._aws.release(**arguments)
            case "images":
                amis = [Ami(**ami) for ami in arguments.pop("amis", ())]
                return self._aws.image_builder.add_image(**arguments, amis=amis).arn
        raise LookupError(name)


class ControlClient:
    """Talks to the controls of an embedded AWS elsewhere; raises :class:`OSError` if it cannot.

    :param endpoint_url: the address of the embedded AWS
    :param region: the region of the clients that :meth:`client` creates

    >>> control = ControlClient(aws.endpoint_url)
    >>> control.add_fault(Fault("dynamodb.ListTables", "500", times=1))
    >>> control.client("dynamodb").list_tables()["TableNames"]
    ['spot-runner-state']
    >>> control.calls(), control.faults_hit()
    ({'dynamodb.ListTables': 2}, {'500': 1})
    >>> control.reset()
    """

    def __init__(self, endpoint_url: str, region: str = "us-east-1") -> None:
        self.endpoint_url = endpoint_url.rstrip("/")
        self.region = region
        self._opener = build_opener(ProxyHandler({}))

    def client(self, service: str, config: Config | None = None, *, bystander: bool = False) -> Any:
        """Return a boto3 client, as :meth:`.EmbeddedAws.client` does."""
        return make_client(self.endpoint_url, self.region, service, config, bystander=bystander)

    def calls(self) -> dict[str, int]:
        """Return how many calls there were, by operation."""
        counts: dict[str, int] = self._request("calls")
        return counts

    def call_log(self) -> list[ApiCall]:
        """Return the calls in order of arrival."""
        return _calls(self._request("log"))

    def faults_hit(self) -> dict[str, int]:
        """Return how many calls the faults hit, by kind."""
        hits: dict[str, int] = self._request("hits")
        return hits

    def wait_until_held(self, count: int = 1, timeout: float = 10.0) -> list[ApiCall]:
        """Return the held calls as soon as there are ``count``, or those there are after ``timeout`` s."""
        return _calls(self._request(f"held?{urlencode({'count': count, 'timeout': timeout})}"))

    def reset(self) -> None:
        """Forget calls, faults, latencies and rates; drop held calls."""
        self._request("reset", {})

    def empty(self) -> None:
        """Make it as empty as at the start, without even a table."""
        self._request("empty", {})

    def set_seed(self, seed: int) -> None:
        """From now on, draw the faults' probabilities with another seed."""
        self._request("seed", {"seed": seed})

    def add_fault(self, fault: Fault) -> None:
        """Make ``fault`` happen."""
        self._request("faults", asdict(fault))

    def set_latency(self, seconds: float, operation: str = "*") -> None:
        """Add ``seconds`` to each call that fits the pattern ``operation``."""
        self._request("latency", {"seconds": seconds, "operation": operation})

    def set_rate(self, operation: str, per_second: float, burst: int = 1) -> None:
        """Throttle the calls that fit the pattern ``operation``."""
        self._request("rate", {"operation": operation, "per_second": per_second, "burst": burst})

    def release(self, *, apply: bool = True) -> int:
        """Let the held calls go on, or close their connections; return how many there were."""
        return int(self._request("release", {"apply": apply}))

    def add_image(self, pipeline: str, *, amis: Iterable[Ami] = (), **image: Any) -> str:
        """Add an image to a pipeline, as :meth:`.ImageBuilderBackend.add_image` does; return its ARN.

        >>> from spot_runner_provider.embedded.demo.seed import create_pipeline
        >>> pipeline = create_pipeline(aws.client("imagebuilder"), "linux-x64")
        >>> ControlClient(aws.endpoint_url).add_image(pipeline, status="FAILED", reason="Build timed out")
        'arn:aws:imagebuilder:us-east-1:123456789012:image/spotrunnerstack-linux-x64/1.0.0/1'
        """
        body = {"pipeline": pipeline, "amis": [asdict(ami) for ami in amis], **image}
        return str(self._request("images", body))

    def _request(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with self._opener.open(Request(self.endpoint_url + PREFIX + path, data)) as response:
            return json.load(response)


def _calls(found: list[dict[str, Any]]) -> list[ApiCall]:
    return [ApiCall(**{**each, "keys": tuple(each["keys"])}) for each in found]


def _json(value: Any, status: HTTPStatus) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")
