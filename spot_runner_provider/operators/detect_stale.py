"""Find the presets that need reconciling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import AirflowFailException, conf

from spot_runner_provider import DEFAULTS, clock
from spot_runner_provider.batch.breaker import Breaker
from spot_runner_provider.detection.audit import Audit, Finding, confirmed, drift, settled
from spot_runner_provider.detection.survey import Survey, divide, sift, survey
from spot_runner_provider.hooks.ami_state import INDEX_NAME
from spot_runner_provider.hooks.calls import chunks
from spot_runner_provider.hooks.preset_config import NAMES_LIMIT, PresetConfigHook
from spot_runner_provider.operators import arguments
from spot_runner_provider.operators.base import AmiStateOperator
from spot_runner_provider.operators.run_conf import RunConf
from spot_runner_provider.protocol.calls import ConfigurationError, ReadConfig
from spot_runner_provider.records.ami_state import AmiState
from spot_runner_provider.records.text import DETAIL_LIMIT, shorten, shown

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

STATES_KEY = "states"
"""XCom key under which every AMI state is pushed."""


class DetectStaleOperator(AmiStateOperator):
    """Find AMI states that have been ``building`` for too long, and what earlier runs left unfinished.

    Returns batches for a mapped :class:`~spot_runner_provider.operators.reconcile_preset.ReconcilePresetOperator`: a
    list of lists of dicts, with one preset per batch if there are no more than ``max_mapped_tasks``. Pushes the XCom
    ``states``: ``{"checkedAt": text, "states": [record, ...], "malformed": [{"jobId", "presetName", "reason"}],
    "malformedCounts": {kind of reason: number}}``. ``malformed`` lists only the first hundred, with long texts cut.
    An audit adds ``"audit": {"findings": [{"presetName", "outcome", "detail"}], "error": text or None}``. A selection
    of presets adds ``"named": True``.

    Fails at once, without retries, if the table, the index, the region, the credentials or a permission is missing, or
    if the index leaves out attributes that are needed. It also fails, before any call, if the run differs from what
    somebody triggered: see the how-to on dry runs.
    A failed audit does not fail this task; the report says so and fails the run.

    :param table_name: the DynamoDB table. (templated)
    :param index_name: its index on ``recordType`` and ``updatedAt``, which projects ``ALL``. (templated)
    :param stale_after: how long a record may be ``building``; more than that is stale. A ``timedelta``, or minutes
        as a number or text. (templated)
    :param presets: names of the presets to look at, whatever their age; all presets, by age, if ``None``. A list, or a
        JSON list as text; an empty one is refused. (templated)
    :param max_mapped_tasks: the highest number of batches; ``[core] max_map_length`` is a limit, too. (templated)
    :param audit: also compare the parameter of every preset whose record is settled with the record. Settled means
        ``ready``, or ``failed`` with an AMI, for five minutes. A parameter that names another AMI is reported as
        ``drifted``; nothing is repaired. One call reads ten parameters. (templated)
    :param config_prefix: the path above the SSM parameters; only the audit needs it. (templated)
    :param aws_conn_id: the Airflow connection for AWS; see the Amazon provider. (templated)
    :param region_name: the AWS region; the connection's if ``None``. (templated)
    :param verify: whether, or with which bundle, TLS certificates are verified. (templated)
    :param botocore_config: settings for botocore's client.

    >>> operator = DetectStaleOperator(task_id="detect_stale", table_name="spot-runner-state", stale_after="30")
    >>> [[preset["presetName"] for preset in batch] for batch in operator.execute(context)]
    [['linux-arm64'], ['linux-x64']]
    """

    custom_operator_name = "DetectStaleOperator"  # a team's own subclasses are found by it, too
    template_fields: Sequence[str] = aws_template_fields(
        "table_name", "index_name", "stale_after", "presets", "max_mapped_tasks", "audit", "config_prefix"
    )

    def __init__(
        self,
        *,
        table_name: str | None,
        index_name: str = INDEX_NAME,
        stale_after: timedelta | float | str = timedelta(minutes=DEFAULTS["stale_after_minutes"]),
        presets: Sequence[str] | str | None = None,
        max_mapped_tasks: int | str = DEFAULTS["max_mapped_tasks"],
        audit: bool | str = DEFAULTS["audit"],
        config_prefix: str = DEFAULTS["config_prefix"],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table_name = table_name
        self.index_name = index_name
        self.stale_after = stale_after
        self.presets = presets
        self.max_mapped_tasks = max_mapped_tasks
        self.audit = audit
        self.config_prefix = config_prefix
        self._written = arguments.written_texts(self)
        self._written_presets = presets if isinstance(presets, str) else None

    def execute(self, context: Context) -> list[list[dict[str, Any]]]:
        """Query the table and return batches of what must be reconciled.

        :raises AirflowFailException: if an argument is invalid, or something is missing that only a person can fix.
        """
        try:
            tasks = arguments.count("max_mapped_tasks", self.max_mapped_tasks)
            run = RunConf.of(context)
            run.check()
            run.check_selection(arguments.selection("presets", self.presets, self._written_presets))
            states, flagged = self.detect()
        except (arguments.InvalidArgument, ConfigurationError) as error:
            raise AirflowFailException(str(error)) from error
        context["ti"].xcom_push(key=STATES_KEY, value=states)
        return divide(flagged, min(tasks, conf.getint("core", "max_map_length", fallback=1024)))

    def detect(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the XCom ``states``, and what must be reconciled.

        :raises InvalidArgument: if an argument is invalid.
        :raises ConfigurationError: if something is missing that only a person can fix.

        >>> presets = ["windows-2022"]
        >>> operator = DetectStaleOperator(task_id="detect_stale", table_name="spot-runner-state", presets=presets)
        >>> states, flagged = operator.detect()
        >>> [state["status"] for state in states["states"]], flagged
        (['ready'], [])
        """
        arguments.check_rendered(self, self._written)
        self.verify = arguments.connection(self.aws_conn_id, self.region_name, self.verify)
        arguments.table_name(self.table_name)
        arguments.index_name(self.index_name)
        audited = arguments.boolean("audit", self.audit)
        prefix = arguments.config_prefix(self.config_prefix)
        found = self._survey(
            arguments.duration("stale_after", self.stale_after),
            arguments.selection("presets", self.presets, self._written_presets),
        )
        states = found.to_json(self._audit(found, prefix) if audited else None)
        for refusal in states["malformed"]:
            self.log.warning("malformed: jobId %(jobId)s, preset %(presetName)s: %(reason)s", refusal)
        if len(found.malformed) > len(states["malformed"]):
            self.log.warning(
                "%s records are malformed; the first %s are listed. By reason: %s",
                len(found.malformed),
                len(states["malformed"]),
                states["malformedCounts"],
            )
        self.log.info(
            "%s AMI states, %s to reconcile: %s",
            len(found.states),
            len(found.candidates),
            ", ".join(candidate.preset_name for candidate in found.candidates) or "none",
        )
        return states, [candidate.to_json() for candidate in found.candidates]

    def _survey(self, stale_after: timedelta, presets: list[str] | None) -> Survey:
        names, refused = sift(presets or ())
        self.hook.connect()
        found = survey(
            self.hook.list_states() if presets is None else (),
            self.hook.list_intents(),
            now=clock.now(),
            stale_after=stale_after,
            named=None if presets is None else self.hook.read_items(names),
        )
        return replace(found, malformed=(*refused, *found.malformed))

    def _audit(self, found: Survey, prefix: str) -> Audit:
        """Compare the settled records with their parameters; no error in here may stop the repair."""
        states = settled(found.states, unfinished=found.unfinished, now=found.checked_at)
        hook = PresetConfigHook(prefix=prefix, beside=self.hook, **self._beside_parameters)
        suspects, unread = _compare(hook, states)
        findings: tuple[Finding, ...] = ()
        told = []
        if unread:
            first = next(iter(unread.values()))
            told.append(f"could not read the parameters of {shorten(', '.join(unread), 60)}: {first}")
        try:
            if suspects:
                present = self.hook.read_states(list(suspects))
                standing = {str(item.get("presetName")) for item in self.hook.list_intents()}
                findings = tuple(
                    finding for finding in confirmed(suspects, states, present) if finding.preset_name not in standing
                )
        except Exception as error:
            told.append(f"could not confirm what was found: {error}")
        for finding in findings:
            self.log.warning("preset %s: drifted: %s", finding.preset_name, finding.detail)
        self.log.info("audit: %s settled records, %s drifted", len(states), len(findings))
        for text in told:
            self.log.warning("audit: %s", shown(text))
        return Audit(findings, shorten("; ".join(told), DETAIL_LIMIT) if told else None)


def _compare(hook: PresetConfigHook, states: Sequence[AmiState]) -> tuple[dict[str, Finding], dict[str, Exception]]:
    """Read parameters; return findings from comparing them with the index, and why some could not be read.

    SSM may refuse a whole chunk because of one parameter's key, so a refused chunk is retried name by name. Before
    anything has been read, only one chunk is retried, so that a missing permission does not cost a call per preset.
    Once SSM fails for everybody, the rest is not read, because the repair waits for the audit. A failed chunk counts
    as one preset for this.
    """
    suspects: dict[str, Finding] = {}
    unread: dict[str, Exception] = {}
    breaker = Breaker()
    has_read = False
    for chunk in chunks(states, NAMES_LIMIT):
        pieces = [chunk]
        while pieces:
            piece = pieces.pop(0)
            if refusal := breaker.refusal(ReadConfig):
                unread |= {state.preset_name: refusal for state in piece}
                continue
            try:
                configs = hook.newest([state.preset_name for state in piece])
            except ConfigurationError as error:
                if len(piece) > 1 and (has_read or not unread):
                    pieces = [[state] for state in piece]
                else:
                    unread |= {state.preset_name: error for state in piece}
            except Exception as error:
                breaker.failed(ReadConfig, [piece[0].preset_name], error)
                unread |= {state.preset_name: error for state in piece}
            else:
                has_read = True
                breaker.worked(ReadConfig)
                found = (drift(state, configs[state.preset_name], hook.name_of(state.preset_name)) for state in piece)
                suspects |= {finding.preset_name: finding for finding in found if finding}
    return suspects, unread
