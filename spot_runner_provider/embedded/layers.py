"""The layers around moto in their order, and the controls of each."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from moto.core.base_backend import BackendDict
from moto.core.models import DEFAULT_ACCOUNT_ID
from werkzeug.wrappers import Response

from spot_runner_provider.embedded.bystanders import Bystanders
from spot_runner_provider.embedded.call import ApiCall, read_call
from spot_runner_provider.embedded.call_log import CallLog
from spot_runner_provider.embedded.faults import Fault, Faults, Holds
from spot_runner_provider.embedded.imagebuilder.models import ImageBuilderBackend, imagebuilder_backends
from spot_runner_provider.embedded.moto_app import Moto, OneAtATime
from spot_runner_provider.embedded.strict import Strict
from spot_runner_provider.embedded.throttling import Latency, RateLimit
from spot_runner_provider.embedded.upstream import Upstream

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Layers:
    """An AWS without an address: calls go through the layers, and each layer has its controls.

    moto has one state per process, however many of these there are.

    :param region: the region of :attr:`image_builder`
    :param seed: the seed of the faults' probabilities
    :param upstream: URL of another emulator whose DynamoDB and SSM are used instead of moto's

    >>> layers = Layers("us-east-1", seed=0, upstream=None)
    >>> layers.add_fault(Fault("ssm.*", "500"))
    >>> layers.calls(), layers.faults_hit()
    ({}, {})
    >>> layers.call_log()
    []
    >>> layers.close()
    """

    account = DEFAULT_ACCOUNT_ID

    def __init__(self, region: str, seed: int, upstream: str | None) -> None:
        self.region = region
        self._holds = Holds()
        self._lock = OneAtATime(Strict(Moto(), self.account))
        self._upstream = Upstream(self._lock, upstream) if upstream else None
        self._bystanders = Bystanders(self._upstream or self._lock)
        self._faults = Faults(self._bystanders, self._holds, seed)
        self._rates = RateLimit(self._faults)
        self._latency = Latency(self._rates)
        self._log = CallLog(self._latency)

    def respond(self, environ: "WSGIEnvironment") -> Response:
        """Answer a call, through all layers.

        >>> from werkzeug.test import EnvironBuilder
        >>> headers = {"X-Amz-Target": "AmazonSSM.GetParameters", "Authorization": "AWS4-HMAC-SHA256 Credential="
        ...            "testing/20260211/us-east-1/ssm/aws4_request, SignedHeaders=host, Signature=0"}
        >>> aws.respond(EnvironBuilder(method="POST", headers=headers, data='{"Names": ["/a"]}').get_environ()).status
        '200 OK'
        """
        return self._log(read_call(environ), environ)

    def close(self) -> None:
        """Stop, without applying calls that are still in progress."""
        self._lock.close()
        self._holds.release(apply=False)
        if self._upstream:
            self._upstream.close()

    @property
    def image_builder(self) -> ImageBuilderBackend:
        """Image Builder's backend, for what no API call can do: finished, failed and old builds."""
        return imagebuilder_backends[self.account][self.region]

    def calls(self) -> dict[str, int]:
        """Return how many calls there were since :meth:`reset_calls`, by operation."""
        return self._log.counts()

    def call_log(self) -> list[ApiCall]:
        """Return the calls since :meth:`reset_calls` in order of arrival."""
        return self._log.calls()

    def reset_calls(self) -> None:
        """Count from zero."""
        self._log.clear()

    def add_fault(self, fault: Fault) -> None:
        """Make ``fault`` happen; if several fit a call, the one that was added first happens.

        >>> from spot_runner_provider.embedded.demo.seed import put_parameter
        >>> aws.add_fault(Fault("ssm.PutParameter", "TooManyUpdates", times=1))
        >>> put_parameter(aws.client("ssm"), "linux-x64", {"ami": "ami-0a1d"})
        Traceback (most recent call last):
            ...
        botocore.errorfactory.TooManyUpdates: An error occurred (TooManyUpdates) when calling the PutParameter ...
        >>> aws.faults_hit()
        {'TooManyUpdates': 1}
        """
        self._faults.add(fault)

    def set_seed(self, seed: int) -> None:
        """From now on, draw the faults' probabilities with another seed.

        :param seed: the same seed hits the same calls

        >>> aws.set_seed(7)
        >>> aws.add_fault(Fault("dynamodb.*", "500", probability=0.25))  # hits the same calls in each run
        >>> aws.clear_faults()
        """
        self._faults.seed = seed

    def faults_hit(self) -> dict[str, int]:
        """Return how many calls the faults hit since :meth:`clear_faults`, by kind."""
        return self._faults.hits()

    def clear_faults(self) -> None:
        """Forget all faults, and the draws of their probabilities; held calls stay held."""
        self._faults.clear()

    def set_latency(self, seconds: float, operation: str = "*") -> None:
        """Add ``seconds`` to each call that fits the pattern ``operation``; 0 removes the delay.

        >>> aws.set_latency(0.001, "dynamodb.*")
        >>> aws.client("dynamodb").list_tables()["TableNames"]  # a millisecond later
        ['spot-runner-state']
        """
        self._latency.set(seconds, operation)

    def set_rate(self, operation: str, per_second: float, burst: int = 1) -> None:
        """Throttle the calls that fit ``operation``: together ``per_second`` after a first ``burst``.

        >>> aws.set_rate("ssm.PutParameter", per_second=3)  # what an account has by default
        """
        self._rates.set(operation, per_second, burst)

    def before(self, operation: str, key: str | None, action: Callable[[], object]) -> None:
        """Run ``action`` once, right before the first call that fits the patterns is applied.

        The action runs outside the lock, so it may call this AWS; it should use a bystander's client.

        >>> from spot_runner_provider.embedded.demo.seed import edit_parameter, put_parameter
        >>> ours, theirs = aws.client("ssm"), aws.client("ssm", bystander=True)
        >>> version = put_parameter(theirs, "linux-x64", {"ami": "ami-0a1d", "timeout": 3600})
        >>> name = "/spot-runner/configs/linux-x64"
        >>> aws.before("ssm.PutParameter", name, lambda: edit_parameter(theirs, "linux-x64", timeout=7200))
        >>> ours.put_parameter(Name=name, Value='{"ami": "ami-0e3f"}', Overwrite=True)["Version"]  # not 2
        3
        """
        self._bystanders.before(operation, key, action)

    def wait_until_held(self, count: int = 1, timeout: float = 10.0) -> list[ApiCall]:
        """Return the held calls as soon as there are ``count``, or those there are after ``timeout`` s.

        >>> from concurrent.futures import ThreadPoolExecutor
        >>> aws.add_fault(Fault("dynamodb.ListTables", "hold", times=1))
        >>> with ThreadPoolExecutor(1) as pool:
        ...     listed = pool.submit(aws.client("dynamodb").list_tables)
        ...     [call.operation for call in aws.wait_until_held()], aws.release(), listed.result()["TableNames"]
        (['dynamodb.ListTables'], 1, ['spot-runner-state'])
        """
        return self._holds.wait(count, timeout)

    def release(self, *, apply: bool = True) -> int:
        """Let the held calls go on, or close their connections; return how many there were.

        :param apply: False simulates a client that died before it sent the call
        """
        return self._holds.release(apply)

    def reset(self) -> None:
        """Forget calls, faults, latencies, rates, and actions that have not run yet; drop held calls.

        >>> aws.set_rate("ssm.*", per_second=1)
        >>> aws.reset()
        """
        for layer in (self._log, self._faults, self._latency, self._rates, self._bystanders):
            layer.clear()
        self._holds.release(apply=False)

    def empty(self) -> None:
        """Become as empty as at the start, and :meth:`reset`.

        >>> aws.empty()
        >>> aws.client("dynamodb").list_tables()["TableNames"]
        []
        >>> aws.reset_calls()
        >>> aws.calls()
        {}
        """
        self.reset()
        BackendDict.reset()
