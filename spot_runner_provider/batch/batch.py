"""Many presets at once: the protocol of each, step by step, with calls bundled where AWS allows it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from spot_runner_provider.batch.breaker import Breaker, Unavailable
from spot_runner_provider.batch.pace import PATIENCE, Pace, Permit
from spot_runner_provider.hooks.cancellation import Cancellation
from spot_runner_provider.hooks.errors import ErrorKind, kind_of, names_of
from spot_runner_provider.protocol.calls import (
    Call,
    Commit,
    ConfigurationError,
    DescribeConfig,
    FindPipeline,
    ForgetIntent,
    LatestImage,
    LogIntent,
    Pause,
    PutConfig,
    PutsInVain,
    ReadConfig,
    ReadHistory,
    ReadState,
    Refused,
    ResourceRefused,
    resource_of,
)
from spot_runner_provider.protocol.candidate import Candidate, Run
from spot_runner_provider.protocol.outcome import Outcome, Result
from spot_runner_provider.protocol.reconcile import Flow, reconcile
from spot_runner_provider.records.image import GIVEN_UP
from spot_runner_provider.records.text import shown

if TYPE_CHECKING:
    from spot_runner_provider.hooks.stores import Stores

BUNDLE = 10
"""Presets that go through the protocol side by side. ListImagePipelines and GetParameters take ten names each; more
would only lengthen the time between reading a parameter and putting it."""

PUTS_PER_SECOND = 3.0
"""PutParameter calls per second that SSM allows in an account and region by default (AWS: "Systems Manager quotas")."""

WAKE_AFTER = 1.0
"""Seconds after which a waiting preset is looked at again: its intent may be due, or the batch may have ended."""

LOOKUPS_PER_SECOND = 5.0
"""A first guess at the ListImagePipelineImages calls per second that Image Builder allows: it publishes no quota."""

_ORDER: tuple[type[Call], ...] = (
    FindPipeline,
    LatestImage,
    ReadConfig,
    DescribeConfig,
    LogIntent,
    Commit,
    ReadHistory,
    PutConfig,
    ReadState,
    ForgetIntent,
)
_BUNDLED = (FindPipeline, ReadConfig, ReadState, LogIntent, ForgetIntent)
_WRITES = (LogIntent, Commit, PutConfig, ForgetIntent)
_COMMON = (FindPipeline, ReadState, LogIntent, Commit, ForgetIntent)
"""Calls that are denied for every preset or for none: the list of pipelines and the table are common to all presets.
A single pipeline, parameter or key may be denied for one preset alone."""

log = logging.getLogger(__name__)


class Batch:
    """Reconcile many presets independently: an error of one preset never affects another.

    An error that is not one preset's own, such as a service that does not answer, is met once. Such calls are then
    not made any more (see :class:`~spot_runner_provider.batch.breaker.Breaker`), and the presets that need them end
    in an error.

    A :class:`ConfigurationError` that hits every preset ends the whole batch, unless something was already changed.
    It ends it at once if the failed call is common to all presets, otherwise once every preset has met one. If it
    hits only some presets, their outcome is ``refused``: a person must fix something before another try can help.

    Where AWS throttles, presets wait for their turn before their parameter is read, in their order. So what was begun
    gets finished, and few presets are in progress at the same time.

    :param stores: the three stores.
    :param run: the run, and its settings.
    :param max_workers: threads, each of which takes :data:`BUNDLE` presets at a time.
    :param on_result: called with each result as soon as there is one, from any thread.
    :param cancellation: a request ends the batch, and stops the stores' clients.
    :param breaker: what earlier calls showed to fail for everybody, if there were any.

    >>> from datetime import UTC, datetime
    >>> from spot_runner_provider.hooks.ami_state import AmiStateHook
    >>> from spot_runner_provider.hooks.image_builder import ImageBuilderHook
    >>> from spot_runner_provider.hooks.preset_config import PresetConfigHook
    >>> from spot_runner_provider.hooks.stores import Stores
    >>> stores = Stores(AmiStateHook(table_name="spot-runner-state"), ImageBuilderHook(), PresetConfigHook())
    >>> run = Run("dag/run", "reconcile_preset/0/1", "us-east-1", clock=lambda: datetime.now(UTC))
    >>> states = stores.states.read_states(["linux-x64", "linux-arm64"])
    >>> batch = Batch(stores, run, max_workers=2, on_result=lambda result: print(result.preset_name, "is done"))
    >>> results = batch.reconcile([Candidate(name, state) for name, state in states.items()])
    linux-... is done
    linux-... is done
    >>> [str(result.outcome) for result in results]
    ['corrected_ready', 'corrected_failed']
    """

    def __init__(
        self,
        stores: Stores,
        run: Run,
        *,
        max_workers: int,
        on_result: Callable[[Result], None],
        cancellation: Cancellation | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self._stores = stores
        self._run = run
        self._max_workers = max_workers
        self._on_result = on_result
        self._cancellation = cancellation or Cancellation()
        self._breaker = breaker or Breaker()
        self._lookups = Pace(LOOKUPS_PER_SECOND)
        self._puts = Pace(PUTS_PER_SECOND)
        self._lock = threading.Lock()
        self._writes = 0
        self._worked: set[type[Call]] = set()
        self._denied: list[ConfigurationError] = []
        self._changed = False
        self._ended_by: ConfigurationError | None = None

    def reconcile(self, candidates: Sequence[Candidate]) -> list[Result]:
        """Return one result for each candidate, in their order.

        An exception in this thread meanwhile, such as Airflow's time-out, ends the batch. No thread then starts or
        repeats a call. Calls in progress are waited for, but no longer than one may take. Presets that are left half
        done have their intents.

        :raises ConfigurationError: if every preset met one, and nothing was written.
        :raises Cancelled: if the task is to end.
        """
        bundles = [candidates[start : start + BUNDLE] for start in range(0, len(candidates), BUNDLE)]
        pool = ThreadPoolExecutor(self._max_workers, thread_name_prefix="reconcile")
        bundled: list[Future[list[Result]]] = []
        try:
            bundled += (pool.submit(self._bundle, place, some) for place, some in enumerate(bundles))
            # A signal right before this thread starts to wait, or one to another thread, does not wake it.
            while not all(some.done() for some in bundled):
                done, _ = wait(bundled, WAKE_AFTER, FIRST_EXCEPTION)
                for some in done:
                    some.result()
            results = [result for some in bundled for result in some.result()]
        except _Ended:
            pool.shutdown(cancel_futures=True)
        except BaseException:
            self._cancellation.request()
            pool.shutdown(wait=False, cancel_futures=True)
            wait(bundled, self._stores.call_timeout)
            raise
        else:
            pool.shutdown()
        if self._ended_by:
            raise self._ended_by
        if self._denied and len(self._denied) == len(results) and not self._changed:
            raise self._denied[0]
        return results

    def _bundle(self, place: int, candidates: Sequence[Candidate]) -> list[Result]:
        results: dict[str, Result] = {}
        flows = {candidate.preset_name: _Progress(candidate, self._run) for candidate in candidates}
        for progress in flows.values():
            progress.advance(lambda flow: next(flow))
        while True:
            for name in [name for name, progress in flows.items() if progress.result]:
                progress = flows.pop(name)
                results[name] = progress.finished()
                self._changed = self._changed or progress.wrote
                if progress.denied:
                    self._denied.append(progress.denied)
                self._on_result(results[name])
            if not flows:
                return [results[candidate.preset_name] for candidate in candidates]
            self._check()
            queued = [progress for progress in flows.values() if progress.is_queued and not self._refusal(progress)]
            if queued and (len(queued) == len(flows) or self._puts.rate is None):
                self._admit(place, queued)
                continue
            due = [progress for progress in flows.values() if progress not in queued]
            kind = min((type(progress.call) for progress in due), key=_ORDER.index)
            self._step(place, [progress for progress in due if type(progress.call) is kind])

    def _admit(self, place: int, queued: Sequence[_Progress]) -> None:
        """Wait for a while until some of these presets may put their parameters; end them if SSM throttles too long."""
        if self._puts.is_starved:
            for progress in queued:
                progress.fail(PutsInVain(f"SSM has throttled every put for {PATIENCE:.0f} s"))
            return
        permit = self._puts.take(place, len(queued), WAKE_AFTER)
        for progress in queued[: permit.calls]:
            progress.admit(permit)
        if not permit.calls:
            for progress in queued:
                progress.wait_on()

    def _step(self, place: int, waiting: Sequence[_Progress]) -> None:
        """Perform the calls that these presets wait for, all of one kind, and let each preset go on."""
        if len(waiting) == 1 or not isinstance(waiting[0].call, _BUNDLED) or any(map(self._refusal, waiting)):
            answers = [self._try(place, progress) for progress in waiting]
        else:
            answers = self._together(place, waiting)
        for progress, answer in zip(waiting, answers, strict=True):
            progress.answer(answer)

    def _together(self, place: int, waiting: Sequence[_Progress]) -> list[Any]:
        """Return the answers to calls in one request; if one preset may have made it fail, call for each alone."""
        try:
            with self._guarded(waiting):
                return self._stores.perform([progress.call for progress in waiting])
        except Exception as error:
            if any(map(self._refusal, waiting)):
                return [error] * len(waiting)
            log.info("a call for %s presets failed, so each is tried alone: %s", len(waiting), shown(str(error)))
            return [self._try(place, progress) for progress in waiting]

    def _refusal(self, progress: _Progress) -> Unavailable | None:
        """Return why a preset's call is not made; ``None`` if it is made.

        A preset that has changed nothing yet does not begin while later calls fail for everybody.
        """
        later = (Commit, PutConfig) if progress.begins else ()
        return self._breaker.refusal(type(progress.call), *later)

    def _try(self, place: int, progress: _Progress) -> Any:
        """Return the answer to one call, or the exception that it ended in."""
        if refusal := self._refusal(progress):
            return refusal
        try:
            match progress.call:
                case LatestImage():
                    return self._lookups.repeat(
                        lambda: self._perform(progress),
                        place=place,
                        seconds=WAKE_AFTER,
                        check=self._check,
                        in_vain="Image Builder has throttled every listing",
                    )
                case PutConfig():
                    return self._puts.attempt(lambda: self._perform(progress), progress.permit)
            return self._perform(progress)
        except Exception as error:
            return error

    def _perform(self, progress: _Progress) -> Any:
        with self._guarded([progress]):
            return self._stores.perform_one(progress.call)

    def _check(self) -> None:
        """Stop here if the batch has ended."""
        self._cancellation.check()
        if self._ended_by:
            raise _Ended

    @contextmanager
    def _guarded(self, waiting: Sequence[_Progress]) -> Iterator[None]:
        """Record how a call of these presets ends; all of them wait for the same kind of call.

        Writes are counted. The batch ends if a call is denied for every preset before the first write.
        """
        call = waiting[0].call
        writes = isinstance(call, _WRITES)
        with self._lock:
            self._check()
            self._writes += writes
        try:
            yield
        except Refused as error:
            with self._lock:
                self._writes -= writes
                if (
                    isinstance(error, ConfigurationError)
                    and not isinstance(error, ResourceRefused)
                    and (isinstance(call, _COMMON) or _is_of_a_setting(error))
                    and type(call) not in self._worked
                    and not self._writes
                ):
                    self._ended_by = self._ended_by or error
            self._check()
            raise
        except Exception as error:
            self._breaker.failed(type(call), [progress.preset_name for progress in waiting], error)
            raise
        self._breaker.worked(type(call))
        with self._lock:
            self._worked.add(type(call))


def _is_of_a_setting(error: ConfigurationError) -> bool:
    """Return whether no request can be sent with the present settings, whatever the preset.

    If botocore rejects a request as malformed, one preset's values may be the cause.
    """
    cause = error.__cause__
    if cause is None or "ParamValidationError" in names_of(cause):
        return False
    return kind_of(cause) is ErrorKind.BAD_SETTING


class _Ended(BaseException):
    """The batch has ended for every preset. This is not an error of the call in which it is raised."""


class _Progress:
    """The progress of one preset: the call that its protocol waits for, or its result."""

    def __init__(self, candidate: Candidate, run: Run) -> None:
        self._candidate = candidate
        self._dry_run = run.dry_run
        self._config_prefix = run.config_prefix
        self._flow: Flow[Result] = reconcile(candidate, run)
        self.wrote = False
        self._admitted = False
        self._put = False
        self._pipeline_arn: str | None = None
        self._failed_build = False
        self.permit = Permit(0, 0.0)
        self.call: Call = Call()
        self._failed: tuple[Call, Exception | None] = (self.call, None)
        self.result: Result | None = None
        self.error: Exception | None = None

    @property
    def preset_name(self) -> str:
        """The preset's name."""
        return self._candidate.preset_name

    @property
    def begins(self) -> bool:
        """Whether it is about to read its parameter in order to put it; when finishing, it reads its record first."""
        match self.call:
            case ReadConfig(name) | ReadState(name):
                puts = not self._failed_build or isinstance(self.call, ReadState)
                return name == self.preset_name and puts and not self._admitted and not self._put
        return False

    @property
    def is_queued(self) -> bool:
        """Whether it waits for its turn to begin, or to put its parameter again."""
        return self.begins or isinstance(self.call, Pause)

    @property
    def denied(self) -> ConfigurationError | None:
        """The error, if it may hit every preset: no resource's own limit, nor after a put (the record is settled)."""
        own = isinstance(self.error, ResourceRefused) or self._put
        return self.error if isinstance(self.error, ConfigurationError) and not own else None

    def admit(self, permit: Permit) -> None:
        """Allow it to read and put its parameter."""
        self._admitted, self.permit = True, permit
        if isinstance(self.call, Pause):
            self.answer(True)

    def wait_on(self) -> None:
        """Tell it that it is not its turn yet."""
        if isinstance(self.call, Pause):
            self.answer(False)

    def answer(self, answer: Any) -> None:
        """Let the protocol go on with the answer to its call."""
        if isinstance(answer, Exception):
            self.fail(answer)
            return
        self.wrote = self.wrote or isinstance(self.call, Commit | PutConfig)
        if isinstance(self.call, LatestImage) and answer is not None:
            self._failed_build = answer.status in GIVEN_UP  # its parameter is only looked at
        self.advance(lambda flow: flow.send(answer))

    def fail(self, error: Exception) -> None:
        """Let the protocol deal with the error of its call."""
        self.wrote = self.wrote or (isinstance(self.call, Commit | PutConfig) and not isinstance(error, Refused))
        self._failed = (self.call, error)
        self.advance(lambda flow: flow.throw(error))

    def advance(self, resume: Callable[[Flow[Result]], Call]) -> None:
        """Go on to the next call, or to the result; an error that the protocol does not handle becomes a result."""
        self._put = self._put or isinstance(self.call, PutConfig)
        try:
            self.call = resume(self._flow)
            if isinstance(self.call, LatestImage):
                self._pipeline_arn = self.call.pipeline_arn
        except StopIteration as stop:
            self.result = stop.value
        except Exception as error:
            expected = type(error).__module__.startswith(("botocore", "spot_runner_provider"))
            level = logging.DEBUG if expected else logging.WARNING
            log.log(level, "preset %s", self.preset_name, exc_info=error)
            self.error = error
            self.result = self._error(error)

    def finished(self) -> Result:
        """Return the result."""
        assert self.result is not None
        return self.result

    def _error(self, error: Exception) -> Result:
        """Return the result of a preset whose protocol ended in an error."""
        failed, thrown = self._failed
        what = resource_of(failed if error is thrown else self.call, self._config_prefix)
        if isinstance(error, ConfigurationError):
            outcome = Outcome.REFUSED
            left = "the next run after that finishes what was begun" if self.wrote else "nothing was changed"
            detail = f"{str(error).rstrip('.')}; {left}"
        else:
            outcome = Outcome.ERROR
            left = "what was begun is finished" if self.wrote else "nothing was changed, it is tried again"
            told = str(error) if isinstance(error, Unavailable) else f"{what}: {type(error).__name__}: {error}"
            detail = f"{told}; {left} in the next try or run"
        return Result.of(
            self._candidate.state,
            preset_name=self.preset_name,
            outcome=outcome,
            dry_run=self._dry_run,
            detail=detail,
            pipeline_arn=self._pipeline_arn,
        )
