"""What somebody gave a run when it was triggered, held against what its tasks got.

A person who gives ``{"dry_run": true}`` believes that nothing is written. Airflow takes any key, drops all of them
under ``[core] dag_run_conf_overrides_params = False``, and lets a worker parse the DAG with settings of its own. So
each task that could write, and the one before it, asks first whether the belief is right.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from spot_runner_provider import arguments

DRY_RUN_MARK = "spot_runner_dry_run"
"""Id of a task that a DAG has, and with it each of its runs, if it was parsed with ``[spot_runner] dry_run`` on."""

OF_OTHERS = frozenset({"openlineage"})
"""Keys that Airflow's own providers add (apache-airflow-providers-standard: ``TriggerDagRunOperator``)."""


class RefusedRun(arguments.InvalidArgument):
    """A run is not what somebody believes it to be; the text says what differs, and what is to blame.

    >>> raise RefusedRun("the run was given something else")
    Traceback (most recent call last):
        ...
    spot_runner_provider.run_conf.RefusedRun: the run was given something else; nothing was done
    """

    def __init__(self, complaint: str) -> None:
        super().__init__(f"{complaint}; nothing was done")


@dataclass(frozen=True, slots=True)
class RunConf:
    """One run, as one of its tasks sees it.

    :param given: what it was triggered with (``dag_run.conf``).
    :param got: the params that the task got.
    :param declared: the names of the DAG's params.
    :param shared: whether the DAG has tasks of others, which may read keys that are no params.
    :param writes: whether the task writes.
    :param marked: whether the run has the task :data:`DRY_RUN_MARK`; asked for only if the task writes.

    >>> given = {"dryrun": True}
    >>> RunConf(given, got={"dry_run": False, "dryrun": True}, declared=["dry_run", "presets"]).check()
    Traceback (most recent call last):
        ...
    spot_runner_provider.run_conf.RefusedRun: the run was given 'dryrun', which is no param of the DAG; did you mean
    'dry_run'? There are dry_run, presets; nothing was done
    """

    given: Mapping[str, Any] = field(default_factory=dict)
    got: Mapping[str, Any] = field(default_factory=dict)
    declared: Collection[str] = ()
    shared: bool = False
    writes: bool = False
    marked: bool = False

    @classmethod
    def of(cls, context: Any, *, dry_run: bool | None = None) -> Self:
        """Read it from the context of a task.

        :param dry_run: whether the task is dry; what the param ``dry_run`` says, if omitted.

        >>> RunConf.of({}) == RunConf()  # somebody calls the operator without a run
        True
        """
        dag_run, got = context.get("dag_run"), context.get("params") or {}
        if dag_run is None:
            return cls()
        dag, ti = context["dag"], context["ti"]
        writes = got.get("dry_run") is False if dry_run is None else not dry_run
        return cls(
            given=dag_run.conf if isinstance(dag_run.conf, Mapping) else {},
            got=got,
            declared={*dag.params, *context["task"].params},
            shared=not all(map(_is_ours, dag.tasks)),
            writes=writes,
            marked=writes and _is_marked(dag_run, ti),
        )

    def check(self) -> None:
        """Check that the run does with this task what somebody who triggered it must believe.

        :raises RefusedRun: for a key that nobody reads, a value that the task did not get, or a run that is dry for
            whoever triggered it, and not for the task.
        """
        if self.declared:  # without params a DAG has not said what it reads
            self._check_keys()
            self._check_values()
        if self.writes:
            self._check_dryness()

    def check_selection(self, selection: Sequence[str] | None) -> None:
        """Check that a run which was given presets is not about all.

        :param selection: the presets that the task looks at; ``None`` for all.
        :raises RefusedRun: if it is.

        >>> RunConf({"presets": ["linux-x64"]}).check_selection(None)
        Traceback (most recent call last):
            ...
        spot_runner_provider.run_conf.RefusedRun: the run was given presets = ['linux-x64'], and the task looks at all:
        give the operator presets="{{ params.presets }}"; nothing was done
        """
        if selection is None and self.given.get("presets") is not None:
            raise RefusedRun(
                f"the run was given presets = {_shown(self.given['presets'])}, and the task looks at all: give the "
                'operator presets="{{ params.presets }}"'
            )

    def _check_keys(self) -> None:
        for key in sorted(self.given.keys() - set(self.declared) - OF_OTHERS):
            if not self.shared or arguments.nearest(key, self.declared):
                raise RefusedRun(
                    f"the run was given {key!r}, which is no param of the DAG"
                    f"{arguments.did_you_mean(key, self.declared)}"
                )

    def _check_values(self) -> None:
        for key in sorted(self.given.keys() & set(self.declared)):
            given, got = self.given[key], self.got.get(key)
            if given != got or isinstance(given, bool) != isinstance(got, bool):  # 30 is 30.0, 1 is not true
                raise RefusedRun(
                    f"the run was given {key} = {_shown(given)}, and the task got {_shown(got)}: set "
                    "[core] dag_run_conf_overrides_params = True for the workers, or trigger a run without a conf"
                )

    def _check_dryness(self) -> None:
        said = [value for key, value in self.given.items() if arguments.letters(key) == "dryrun"]
        if any(value not in (None, False) and str(value).lower() != "false" for value in said):
            raise RefusedRun("the run was given a dry_run, and this task is not dry: correct dry_run of the operator")
        if self.marked and not said:
            raise RefusedRun(
                "[spot_runner] dry_run is True where the DAG was parsed for this run, and False on this worker: set it "
                "alike for both, and trigger a new run"
            )


def _is_ours(task: Any) -> bool:
    """Return whether a task, mapped or not, is of one of this provider's operators."""
    module: str = getattr(task, "operator_class", type(task)).__module__
    return module.startswith("spot_runner_provider.") or task.task_id == DRY_RUN_MARK


def _is_marked(dag_run: Any, ti: Any) -> bool:
    """Return whether Airflow's database has the mark in this run."""
    if hasattr(ti, "get_ti_count"):  # Airflow 3, where tasks do not reach the database
        return bool(ti.get_ti_count(dag_id=ti.dag_id, task_ids=[DRY_RUN_MARK], run_ids=[ti.run_id]))
    return dag_run.get_task_instance(DRY_RUN_MARK) is not None


def _shown(value: Any) -> str:
    return repr(value)[:60]
