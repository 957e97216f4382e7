"""What somebody gave a run when it was triggered, compared with what its tasks got.

A person who gives ``{"dry_run": true}`` believes that nothing is written. But Airflow accepts any key, drops all of
them under ``[core] dag_run_conf_overrides_params = False``, and lets a worker parse the DAG with its own settings. So
each task that could write, and the task before it, first checks that the person is right.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from spot_runner_provider.operators import arguments
from spot_runner_provider.operators.task_groups import ids_around

DRY_RUN_MARK = "spot_runner_dry_run"
"""Id of a task that a DAG and its runs have if the DAG was parsed with ``[spot_runner] dry_run`` on."""

OURS = frozenset({"dry_run", "presets"})
"""Keys that say what a run may change. Their values are checked, whether the DAG declares them or not."""

_WRAPPERS = frozenset({"params", "conf"})
"""Keys in which people wrap what belongs at the top level, as :func:`.letters` returns them."""

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
"""A word of ``dry_mode``, ``DRY-MODE`` or ``dryMode``."""

OF_OTHERS = frozenset({"openlineage"})
"""Keys that Airflow's own providers add (apache-airflow-providers-standard: ``TriggerDagRunOperator``)."""


class RefusedRun(arguments.InvalidArgument):
    """A run is not what somebody believes it to be; the text says what differs, and what to correct.

    >>> raise RefusedRun("the run was given something else")
    Traceback (most recent call last):
        ...
    spot_runner_provider.operators.run_conf.RefusedRun: the run was given something else; nothing was done
    """

    def __init__(self, complaint: str) -> None:
        super().__init__(f"{complaint}; nothing was done")


@dataclass(frozen=True, slots=True)
class RunConf:
    """One run, as one of its tasks sees it.

    :param given: what it was triggered with (``dag_run.conf``), and the task's params that look like :data:`OURS`:
        ``airflow tasks test -t`` turns everything that it is given into params.
    :param got: the params that the task got.
    :param declared: the names of the DAG's params.
    :param shared: whether the DAG also has other operators' tasks, which may read keys that are not params.
    :param writes: whether the task writes.
    :param marked: whether the run has the task :data:`DRY_RUN_MARK`; looked up only if the task writes.
    :param marked_here: whether the DAG has that task as this worker parsed it.

    >>> given = {"dryrun": True}
    >>> RunConf(given, got={"dry_run": False, "dryrun": True}, declared=["dry_run", "presets"]).check()
    Traceback (most recent call last):
        ...
    spot_runner_provider.operators.run_conf.RefusedRun: the run was given 'dryrun', which is not a param of the DAG; did
    you mean 'dry_run'? There are dry_run, presets; nothing was done
    """

    given: Mapping[str, Any] = field(default_factory=dict)
    got: Mapping[str, Any] = field(default_factory=dict)
    declared: Collection[str] = ()
    shared: bool = False
    writes: bool = False
    marked: bool = False
    marked_here: bool = False

    @classmethod
    def of(cls, context: Any, *, dry_run: bool | None = None) -> Self:
        """Read it from the context of a task.

        :param dry_run: whether the task is dry; taken from the param ``dry_run`` if omitted.

        >>> RunConf.of({}) == RunConf()  # somebody calls the operator without a run
        True
        """
        dag_run, got = context.get("dag_run"), context.get("params") or {}
        if dag_run is None:
            return cls()
        dag, task = context["dag"], context["task"]
        marks = ids_around(task, DRY_RUN_MARK)
        typed = {key for key in task.params.keys() - dag.params.keys() if _meant(key, OURS)}
        writes = got.get("dry_run") is False if dry_run is None else not dry_run
        return cls(
            given={
                **(dag_run.conf if isinstance(dag_run.conf, Mapping) else {}),
                **{key: got[key] for key in typed & got.keys()},
            },
            got=got,
            declared={*dag.params, *task.params} - (typed - OURS),
            shared=not all(map(_is_ours, dag.tasks)),
            writes=writes,
            marked=writes and _is_marked(dag_run, context["ti"], marks),
            marked_here=any(mark in task.dag.task_dict for mark in marks),
        )

    def check(self) -> None:
        """Check that this task does what the person who triggered the run must expect.

        :raises RefusedRun: for a key that nobody reads, a value that the task did not get, or a run that was triggered
            as a dry run while the task is not dry.
        """
        self._check_keys()
        self._check_values()
        if self.writes:
            self._check_dryness()

    def check_selection(self, selection: Collection[str] | None, *, is_part: bool = False) -> None:
        """Check that a run which was given presets is about exactly these.

        :param selection: the presets that the task looks at; ``None`` for all.
        :param is_part: whether other tasks may look at the rest.
        :raises RefusedRun: if it is about others.

        >>> RunConf({"presets": ["linux-x64"]}).check_selection(None)
        Traceback (most recent call last):
            ...
        spot_runner_provider.operators.run_conf.RefusedRun: the run was given presets = ['linux-x64'], and the task
        looks at all: give the operator presets="{{ params.presets }}"; nothing was done
        """
        if (given := self.given.get("presets")) is None:
            return
        try:
            wanted = set(arguments.items("presets", given))
        except (arguments.InvalidArgument, TypeError):  # TypeError: an item that is not hashable
            wanted = set()
        if selection is None or not (wanted.issuperset(selection) if is_part else wanted == set(selection)):
            looks_at = "all" if selection is None else _shown([*selection])
            raise RefusedRun(
                f"the run was given presets = {_shown(given)}, and the task looks at {looks_at}: give the operator "
                'presets="{{ params.presets }}"'
            )

    def _check_keys(self) -> None:
        known = {*self.declared, *OURS}
        is_strict = self.declared and not self.shared  # a DAG without params has not said which keys it reads
        for key in sorted(self.given.keys() - set(self.declared) - OF_OTHERS):
            inside = self.given[key] if arguments.letters(key) in _WRAPPERS else None
            for inner in inside if isinstance(inside, Mapping) else ():
                if meant := _meant(inner, known):
                    raise RefusedRun(f"the run was given {inner!r} inside {key!r}: give {meant!r} at the top level")
            meant = _meant(key, known)
            if is_strict or (meant and key not in OURS):
                raise RefusedRun(
                    f"the run was given {key!r}, which is not a param of the DAG{arguments.proposal(meant, known)}"
                )

    def _check_values(self) -> None:
        for key in sorted(self.given.keys() & set(self.declared)):
            given = self.given[key]
            if key not in self.got:
                raise RefusedRun(
                    f"the run was given {key} = {_shown(given)}, and the task got no such param: check that this "
                    "worker has the DAG's file as it was parsed for this run"
                )
            got = self.got[key]
            if given != got or isinstance(given, bool) != isinstance(got, bool):  # 30 is 30.0, 1 is not true
                raise RefusedRun(
                    f"the run was given {key} = {_shown(given)}, and the task got {_shown(got)}: set "
                    "[core] dag_run_conf_overrides_params = True for the workers, or trigger a run without a conf"
                )

    def _check_dryness(self) -> None:
        said = [value for key, value in self.given.items() if arguments.letters(key) == "dryrun"]
        asked = (value for value in (*said, self.got.get("dry_run")) if value is not None)
        if any(value is not False and str(value).lower() != "false" for value in asked):
            raise RefusedRun("the run was given a dry_run, and this task is not dry: correct dry_run of the operator")
        if self.marked and not said:
            raise RefusedRun(
                "[spot_runner] dry_run is True where the DAG was parsed for this run, and False on this worker: set it "
                "alike for both, and trigger a new run"
            )
        if self.marked_here and not self.marked:  # the trigger form sends dry_run = false even if nobody changed it
            raise RefusedRun(
                "[spot_runner] dry_run is True on this worker, and False where the DAG was parsed for this run: set it "
                "alike for both, and trigger a new run"
            )


def _meant(key: str, known: Collection[str]) -> str | None:
    """Return the known key that somebody meant.

    A key means one of :data:`OURS` if it has its word, the same letters in another order, or almost the same letters.
    ``reset``, ``results`` and ``rerun`` are not close enough: other tasks use them.
    """
    words = {word.lower() for word in _WORD.findall(key)}
    for ours, its in (("dry_run", {"dry"}), ("presets", {"preset", "presets"})):
        if words & its or sorted(arguments.letters(key)) == sorted(arguments.letters(ours)):
            return ours
    return arguments.nearest(key, OURS, cutoff=0.85) or arguments.nearest(key, set(known) - OURS)


def _is_ours(task: Any) -> bool:
    """Return whether a task, mapped or not, uses one of this provider's operators."""
    module: str = getattr(task, "operator_class", type(task)).__module__
    return module.startswith("spot_runner_provider.") or task.task_id.rpartition(".")[2] == DRY_RUN_MARK


def _is_marked(dag_run: Any, ti: Any, marks: Sequence[str]) -> bool:
    """Return whether this run has one of the marks in Airflow's database."""
    if hasattr(ti, "get_ti_count"):  # Airflow 3, where tasks have no access to the database
        return bool(ti.get_ti_count(dag_id=ti.dag_id, task_ids=[*marks], run_ids=[ti.run_id]))
    return any(each.task_id in marks for each in dag_run.get_task_instances())


def _shown(value: Any) -> str:
    return repr(value)[:60]
