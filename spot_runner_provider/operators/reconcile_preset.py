"""Correct the records and parameters of presets."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, conf

from spot_runner_provider import DEFAULTS, clock
from spot_runner_provider.batch.batch import Batch
from spot_runner_provider.batch.breaker import Breaker
from spot_runner_provider.batch.waiting import AIOBOTOCORE_REMEDY, Progress, Watch, can_defer
from spot_runner_provider.hooks.ami_state import INDEX_NAME
from spot_runner_provider.hooks.cancellation import Cancellation
from spot_runner_provider.hooks.image_builder import ImageBuilderHook
from spot_runner_provider.hooks.preset_config import PresetConfigHook
from spot_runner_provider.hooks.stores import Stores
from spot_runner_provider.operators import arguments, asset_events, links
from spot_runner_provider.operators.base import AmiStateOperator
from spot_runner_provider.operators.labels import LABEL_VARIABLE, label
from spot_runner_provider.operators.run_conf import RunConf
from spot_runner_provider.operators.selection import Selection, check_items, first_name, name_of
from spot_runner_provider.protocol.calls import ConfigurationError
from spot_runner_provider.protocol.candidate import Run
from spot_runner_provider.protocol.outcome import Outcome, Result
from spot_runner_provider.records.ami_state import parse_timestamp, render_timestamp
from spot_runner_provider.records.text import shorten, shown
from spot_runner_provider.records.xcom_size import fitted
from spot_runner_provider.reporting.promotion import promotions_of
from spot_runner_provider.triggers.images import ImagesTrigger

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.sdk.definitions.mappedoperator import OperatorPartial

TRIGGERER_GRACE = timedelta(minutes=10)
"""Time after the trigger's deadline at which Airflow ends the wait: no triggerer ran then, so the try fails."""


class ReconcilePresetOperator(AmiStateOperator):
    """Ask Image Builder what became of each preset's build, and correct DynamoDB and SSM accordingly.

    Returns one result per preset: ``{"presetName", "status", "amiId", "previousAmiId", "updatedAt", "buildId",
    "outcome", "detail", "dryRun", "pipelineArn", "imageArn", "imageState"}``. ``outcome`` is one of
    :class:`~spot_runner_provider.protocol.outcome.Outcome`, or ``None`` for a named preset with nothing to do.

    One preset's error never stops another. If a preset ends in an error, the results are pushed and the task fails, so
    that Airflow tries again. The other outcomes do not fail the task. If something is missing for every preset (a
    permission, the table, the region), the task fails at once, without retries, unless something was already written.

    Each preset whose AMI was replaced gets an event of the asset ``spot-runner://<account>/<region>/<preset>``, with
    the extra ``{"presetName", "amiId", "previousAmiId", "buildId"}``. It goes through the asset aliases among the
    ``outlets``, or through ``AssetAlias("spot-runner")`` if there are none. Airflow sends it if the task succeeds.

    :param presets: a batch as :class:`~spot_runner_provider.operators.detect_stale.DetectStaleOperator` returns it,
        or preset names, or either of them as JSON text. Named presets are read first, and reconciled if they are
        building, whatever their age. (templated)
    :param table_name: the DynamoDB table. (templated)
    :param config_prefix: the path above the SSM parameters. (templated)
    :param pipeline_name: the pipeline's name, with ``{preset}`` for the preset's name. Where pipelines are named in
        different ways, it takes several: a list, or a text with commas. Exactly one of them must exist. (templated)
    :param stuck_after: how long a build may run before it is reported as ``stuck``; for ever if 0. A ``timedelta``, or
        minutes as a number or text. (templated)
    :param index_name: the table's index on ``recordType``; needed for preset names, and in a retry. (templated)
    :param max_workers: number of threads. (templated)
    :param dry_run: look everything up, write nothing, and say what would be done. If the run was triggered as a dry
        run but is not dry here, it fails before any call: see the how-to on dry runs. (templated)
    :param wait_for_completion: wait for running builds, and reconcile each when it has ended. Builds that have already
        ended are reconciled first. A dry run does not wait.
    :param deferrable: wait in the triggerer, not in a worker's slot. Needs the extra ``aiobotocore``.
    :param poll_interval: seconds between two looks at the builds that are waited for.
    :param wait_timeout: how long each try waits. A build that is still running then is ``still_building``, or ``stuck``
        if it was that before the wait; one whose last look failed is an ``error``. A ``timedelta``, or minutes.
    :param aws_conn_id: the Airflow connection for AWS; see the Amazon provider. (templated)
    :param region_name: the AWS region; the connection's if ``None``. (templated)
    :param verify: whether, or with which bundle, TLS certificates are verified. (templated)
    :param botocore_config: settings for botocore's clients.

    >>> presets = ["linux-x64", "windows-2022"]
    >>> operator = ReconcilePresetOperator(task_id="repair", presets=presets, table_name="spot-runner-state")
    >>> {result["presetName"]: result["outcome"] for result in operator.execute(context)}
    {'windows-2022': None, 'linux-x64': 'corrected_ready'}
    """

    operator_extra_links = (
        links.PipelineLink(),
        links.ParameterLink(),
        links.RecordLink(),
        links.LogGroupLink(),
    )
    custom_operator_name = "ReconcilePresetOperator"  # a team's own subclasses are found by it, too
    template_fields: Sequence[str] = aws_template_fields(
        "presets",
        "table_name",
        "config_prefix",
        "pipeline_name",
        "stuck_after",
        "index_name",
        "max_workers",
        "is_dry_run",
    )

    def __init__(
        self,
        *,
        presets: Sequence[Mapping[str, Any] | str] | str,
        table_name: str | None,
        config_prefix: str = DEFAULTS["config_prefix"],
        pipeline_name: Sequence[str] | str = DEFAULTS["pipeline_name"],
        stuck_after: timedelta | float | str = timedelta(minutes=DEFAULTS["stuck_after_minutes"]),
        index_name: str = INDEX_NAME,
        max_workers: int | str = 16,
        dry_run: bool | str = DEFAULTS["dry_run"],
        wait_for_completion: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: int = 60,
        wait_timeout: timedelta | float = timedelta(hours=1),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.outlets = asset_events.with_alias(self.outlets)
        self.presets = presets
        self.table_name = table_name
        self.config_prefix = config_prefix
        self.pipeline_name = pipeline_name
        self.stuck_after = stuck_after
        self.index_name = index_name
        self.max_workers = max_workers
        self.is_dry_run = dry_run  # ``dry_run`` is a method of every operator
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.wait_timeout = wait_timeout
        self._written = arguments.written_texts(self)
        self._cancellation = Cancellation()

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """Begin a mapped task. Airflow must know its outlets before it creates any instance."""
        made: OperatorPartial = super().partial(**kwargs)
        made.kwargs["outlets"] = asset_events.with_alias(made.kwargs.get("outlets"))
        return made

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Reconcile each preset and return the results.

        :raises AirflowFailException: if a person must fix something before anything can work, and nothing was written
            yet. Also if this concerns a build that is or was waited for; the results are pushed first.
        :raises AirflowException: if a preset ended in ``error``; the results are pushed first.
        """
        try:
            given = self._given(context)
            timeout = self._check_waiting()
            progress = self._reconcile(given, context["ti"])
        except (arguments.InvalidArgument, ConfigurationError) as error:
            raise AirflowFailException(str(error)) from error
        return self._go_on(progress, clock.now() + timeout, context)

    def execute_complete(
        self,
        context: Context,
        event: Mapping[str, Any],
        progress: Mapping[str, Any] | None = None,
        deadline: str | None = None,
    ) -> list[dict[str, Any]]:
        """Go on after a deferral.

        :param event: the trigger's event.
        :param progress: what was done before the deferral. ``dag.test()`` keeps neither this nor ``deadline``, so the
            whole batch is then reconciled again, without a second wait.
        :param deadline: until when to wait.
        :raises AirflowFailException: if the run differs from what somebody triggered.
        """
        try:
            given = self._given(context)
        except arguments.InvalidArgument as error:
            raise AirflowFailException(str(error)) from error
        if progress is None or deadline is None:
            seen = self._reconcile(given, context["ti"], resumed=True)
            told = self._told(seen, {**event, "unseen": {}})  # these images have just been looked up again
            return self._go_on(told, clock.now(), context)
        resumed = self._resume(Progress.from_json(progress), event, context)
        return self._go_on(resumed, parse_timestamp(deadline), context)

    def on_kill(self) -> None:
        """Start no further call: Airflow is ending the task, perhaps by a signal that does not stop the process."""
        self._cancellation.request()

    def _go_on(self, progress: Progress, deadline: datetime, context: Context) -> list[dict[str, Any]]:
        """Wait for running builds, if wanted; then return the results, or push them and fail.

        If a preset ended in an error, the task does not wait for the other builds; the next try waits for them. If a
        person must fix something for a build, the task fails for good once the others have ended.
        """
        while progress.builds and self.wait_for_completion and not progress.failed:
            if clock.now() >= deadline:
                progress = self._give_up(progress)
                break
            self._push(progress, context)  # so that these results are known however the wait ends
            arns = [build.image_arn for build in progress.builds]
            if self.deferrable:
                self._defer(progress, arns, deadline)
            progress = self._resume(progress, self._watch(arns, deadline), context)
        if failed := progress.failed:
            self._push(progress, context)
            raise AirflowException(
                f"{len(failed)} of {len(progress.results)} presets failed: {shorten(', '.join(failed))}. "
                "The others are done; the next try or run continues with these"
            )
        if barred := progress.barred:
            self._push(progress, context)
            told = next(str(result["detail"]) for result in progress.results if result["presetName"] in barred)
            raise AirflowFailException(
                f"{len(barred)} of {len(progress.results)} presets cannot be finished until a person fixes "
                f"something: {shorten(', '.join(barred))}. {told.rstrip('.')}. The others are done"
            )
        asset_events.add_each(progress.promotions, self.outlets, context)
        return _values(progress)

    def _push(self, progress: Progress, context: Context) -> None:
        """Push the results so far under the key that Airflow uses for a task's return value."""
        if self.do_xcom_push:
            context["ti"].xcom_push(key="return_value", value=_values(progress))

    def _given(self, context: Context) -> list[Any]:
        """Return what is to be reconciled, after checking that the run does what somebody triggered."""
        given = arguments.items("presets", self.presets)
        names = [name_of(item) for item in given]
        context[LABEL_VARIABLE] = label(names)  # type: ignore[literal-required]
        run = RunConf.of(context, dry_run=arguments.boolean("dry_run", self.is_dry_run))
        run.check()
        is_whole = names == given != [] and context["ti"].map_index in (
            None,
            -1,
        )  # otherwise detection or a mapping chose from all presets
        run.check_selection(names, is_part=not is_whole)
        return given

    def _check_waiting(self) -> timedelta:
        """Return how long to wait, after checking, before anything is done, that waiting can work."""
        arguments.count("poll_interval", self.poll_interval)
        if self.wait_for_completion and self.deferrable and not can_defer():
            raise ConfigurationError(f"deferrable needs aiobotocore: {AIOBOTOCORE_REMEDY}. Nothing was done")
        return arguments.duration("wait_timeout", self.wait_timeout)

    def _defer(self, progress: Progress, arns: Sequence[str], deadline: datetime) -> None:
        """Wait in the triggerer."""
        self.log.info("waiting for %s builds, until %s at most: %s", len(arns), deadline, ", ".join(arns))
        self.defer(
            trigger=ImagesTrigger(
                image_arns=arns,
                deadline=render_timestamp(deadline),
                poll_interval=arguments.count("poll_interval", self.poll_interval),
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name=self.execute_complete.__name__,
            kwargs={"progress": progress.to_json(), "deadline": render_timestamp(deadline)},
            timeout=max(deadline - clock.now(), timedelta(0)) + TRIGGERER_GRACE,
        )

    def _watch(self, arns: Sequence[str], deadline: datetime) -> dict[str, Any]:
        """Wait here, and return the event that the trigger would fire."""
        watch = Watch(list(arns), deadline, arguments.count("poll_interval", self.poll_interval))
        images = None
        while not watch.is_over:
            time.sleep(watch.pause(clock.now()))
            self._cancellation.check()
            with watch.look() as awaited:
                images = images or self._image_builder()
                for arn in awaited:
                    with watch.looking_at(arn):
                        watch.saw(arn, is_building=images.is_building(arn))
            if watch.unseen:
                images = None  # a client keeps the credentials that it was created with, even if there were none
        return watch.event()

    def _image_builder(self) -> ImageBuilderHook:
        """Return a connected hook."""
        images = ImageBuilderHook(**self._beside_parameters)
        images.connect(self._cancellation)
        return images

    def _give_up(self, progress: Progress) -> Progress:
        waited = f"waited {arguments.duration('wait_timeout', self.wait_timeout).total_seconds() / 60:g} minutes"
        for build in progress.builds:
            if why := progress.unseen.get(build.image_arn):
                self.log.warning("preset %s: %s, and the last look failed: %s", build.preset_name, waited, why)
            else:
                self.log.info("preset %s: %s", build.preset_name, waited)
        return progress.given_up(waited)

    def _resume(self, progress: Progress, event: Mapping[str, Any], context: Context) -> Progress:
        """Reconcile the presets whose builds have ended, or give up waiting.

        If a person must fix something for them, the other presets are still waited for.
        """
        progress = self._told(progress, event)
        ended = progress.those_of(event["finished"])
        if not ended:
            return self._give_up(progress) if progress.builds else progress
        try:
            return progress.then(self._reconcile(ended, context["ti"], resumed=True))
        except (arguments.InvalidArgument, ConfigurationError) as error:
            results = [
                Result(shorten(name_of(item)), Outcome.REFUSED, f"its build has ended, but {error}") for item in ended
            ]
            for result in results:
                self._log_result(result)
            barred = tuple(result.preset_name for result in results)
            return progress.then(replace(Progress.of(results), barred=barred))

    def _told(self, progress: Progress, event: Mapping[str, Any]) -> Progress:
        """Return the progress after the event of a wait, without the builds that nobody may look at."""
        refused = {arn: f"waiting failed: {why}" for arn, why in event["refused"].items()}
        for build in progress.builds:
            if why := refused.get(build.image_arn):
                self.log.warning("preset %s: %s", build.preset_name, why)
        return replace(progress.refused(refused), unseen=event["unseen"])

    def reconcile(self, given: list[Any], ti: Any) -> list[Mapping[str, Any]]:
        """Reconcile ``given``, in the form of :attr:`presets`, and return the results without waiting.

        :param ti: the task instance. If ``do_xcom_push`` is off, a stand-in will do that has what signs records: its
            ids, map index and try number.
        :raises InvalidArgument: if an argument is invalid.
        :raises ConfigurationError: if something is missing that only a person can fix, and nothing was written yet.

        >>> operator = ReconcilePresetOperator(task_id="r", presets=(), table_name="spot-runner-state", dry_run=True)
        >>> [result["detail"] for result in operator.reconcile(["linux-x64"], context["ti"])]
        ['dry run: would set ready with ami-0e3f, and ami from ami-0a1d']
        """
        return list(self._reconcile(given, ti).results)

    def _reconcile(self, given: Sequence[Any], ti: Any, *, resumed: bool = False) -> Progress:
        """Reconcile ``given``.

        :param resumed: whether this try resumes after a wait, so that the links of the whole batch are already there.
        """
        check_items(given)
        arguments.check_rendered(self, self._written)
        self.verify = arguments.connection(self.aws_conn_id, self.region_name, self.verify)
        table_name = arguments.table_name(self.table_name)
        arguments.index_name(self.index_name)
        prefix = arguments.config_prefix(self.config_prefix)
        dry_run = arguments.boolean("dry_run", self.is_dry_run)
        max_workers = arguments.count("max_workers", self.max_workers)
        pipeline_names = arguments.pipeline_names(self.pipeline_name)
        stuck_after = arguments.duration("stuck_after", self.stuck_after)
        hook_parameters = self._beside_parameters
        stores = Stores(
            self.hook,
            ImageBuilderHook(beside=self.hook, **hook_parameters),
            PresetConfigHook(prefix=prefix, beside=self.hook, **hook_parameters),
        )
        region = stores.connect(self._cancellation)

        run = Run(
            owner=f"{ti.dag_id}/{ti.run_id}",
            # Unique, because an executor may start a try twice, a wait resumes it, and a run's id may be used again.
            attempt=f"{ti.task_id}/{ti.map_index}/{ti.try_number}/{uuid4().hex[:8]}",
            region=region,
            clock=clock.now,
            pipeline_names=pipeline_names,
            stuck_after=stuck_after,
            config_prefix=prefix,
            repeated=resumed or ti.try_number > 1,
            dry_run=dry_run,
        )
        first = first_name(given)
        if self.do_xcom_push and not resumed:
            links.push_resources(ti, region, table_name, stores.configs.name_of(first), first)
        breaker = Breaker()
        selection = Selection(stores.states, stores.configs, run.owner if run.repeated else None, breaker)
        candidates, answered = selection.select(given)
        for result in answered:
            self._log_result(result)
        if not dry_run:
            candidates = selection.retried(candidates)
        batch = Batch(
            stores,
            run,
            max_workers=max_workers,
            on_result=self._log_result,
            cancellation=self._cancellation,
            breaker=breaker,
        )
        results = [*answered, *batch.reconcile(candidates)]
        if self.do_xcom_push:
            arn = next((result.pipeline_arn for result in results if result.preset_name == first), None)
            if arn and not resumed:
                links.push_pipeline(ti, arn)
            links.push_log_group(ti, results)
        return Progress.of(results, candidates, promotions_of(results))

    def _log_result(self, result: Result) -> None:
        warn = result.warn or (result.outcome is not None and result.outcome.meaning.needs_attention)
        self.log.log(
            logging.WARNING if warn else logging.INFO,
            "preset %s: %s%s%s",
            shorten(result.preset_name),
            result.outcome or "nothing to do",
            f", {result.ami_id}" if result.outcome is Outcome.CORRECTED_READY else "",
            f": {shown(result.detail)}" if result.detail else "",
        )


def _values(progress: Progress) -> list[dict[str, Any]]:
    return fitted(progress.results, "detail")
