"""The rows of the table: what is measured, how, and against which target."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.aws import running
from benchmarks.task import measure
from spot_runner_provider.embedded.__main__ import airflow_connection
from spot_runner_provider.embedded.call import Call
from spot_runner_provider.embedded.control import ControlClient
from spot_runner_provider.embedded.seed import TABLE

REPOSITORY = Path(__file__).parents[1]
DAG_FILE = REPOSITORY / "dags" / "spot_runner_reconcile.py"
AMAZON_DAG_FILE = REPOSITORY / "benchmarks" / "dags" / "three_amazon_operators.py"
DAG_ID = "spot_runner_reconcile"
LATENCY = 0.03
PUTS, HIGH_PUTS, LOOKUPS = 3.0, 10.0, 10.0
REPEATS = 5
BATCHES = tuple(range(10, 26))
"""Sizes of a batch: from ten on one is dearer than the one before only where it begins a new ten."""


@dataclass(frozen=True)
class Row:
    """One measurement against its target; ``value`` must be at most, or with ``at_least`` at least, that.

    Without a target it is for information. Without a value it could not be measured, and the detail says why.
    """

    number: str
    measure: str
    value: float | None
    target: float | None
    unit: str
    detail: str = ""
    at_least: bool = False

    @property
    def reached(self) -> bool:
        """Whether the target is met, if there is one."""
        if self.value is None:
            return False
        if self.target is None:
            return True
        return self.value >= self.target if self.at_least else self.value <= self.target


@dataclass(frozen=True)
class Lab:
    """Where the measurements run: an empty folder for their Airflow homes and batches."""

    folder: Path

    def detect(self, aws: ControlClient) -> dict[str, Any]:
        """Run the detecting task in a process of its own."""
        return measure("detect", self.folder, aws, batch=str(self.folder / "batch.json"))

    def reconcile(self, aws: ControlClient, **arguments: Any) -> dict[str, Any]:
        """Run a reconciling task, in a process of its own, on what was detected last."""
        return measure("reconcile", self.folder, aws, batch=str(self.folder / "batch.json"), **arguments)

    def sequential(self, aws: ControlClient) -> dict[str, Any]:
        """Run the sequential algorithm, in a process of its own, on what was detected last."""
        return measure("sequential", self.folder, aws, batch=str(self.folder / "batch.json"))

    def calls(self, **fleet: int) -> int:
        """Detect and reconcile a fleet; return the number of calls."""
        with running(**fleet) as aws:
            aws.reset()
            self.detect(aws)
            self.reconcile(aws)
            return sum(aws.calls().values())

    def calls_by_size(self, build: str) -> dict[int, int]:
        """Return the calls for each of :data:`BATCHES`, of presets whose build came to this, detection included."""
        with running(**{build: sum(BATCHES)}) as aws:
            aws.reset()
            self.detect(aws)
            detection = sum(aws.calls().values())
            made = measure("calls", self.folder, aws, batch=str(self.folder / "batch.json"), sizes=BATCHES)
        return {int(size): detection + calls for size, calls in made.items()}

    def seconds(
        self, count: int, *, puts: float | None = None, sequential: bool = False, at_once: bool = False
    ) -> float:
        """Return how long it takes to correct so many presets, 30 ms a call.

        :param puts: a quota of PutParameter; one of ListImagePipelineImages comes with it
        :param at_once: let eight tasks share the presets, and the quota; the time includes their detection
        """
        with running(AVAILABLE=count) as aws:
            self.detect(aws)
            aws.set_latency(LATENCY)
            if puts:
                aws.set_rate("ssm.PutParameter", puts)
                aws.set_rate("imagebuilder.ListImagePipelineImages", LOOKUPS)
            if sequential:
                return float(self.sequential(aws)["seconds"])
            done = measure("at_once", self.folder, aws) if at_once else self.reconcile(aws)
            assert done["outcomes"] == {"corrected_ready": count}, done
            assert not done.get("failures"), done
            return float(done["seconds"])


def p1_calls(lab: Lab) -> list[Row]:
    """AWS calls a preset, all operations, detection included."""
    rows = []
    for kind, words, target in [
        ("AVAILABLE", "turns ready", 3.8),
        ("FAILED", "turns failed", 2.3),
        ("BUILDING", "goes on building", 1.3),
    ]:
        each = {size: calls / size for size, calls in lab.calls_by_size(kind).items()}
        dearest = max(each, key=lambda size: each[size])
        detail = ", ".join(f"{each[size]:.2f} in a batch of {size}" for size in (20, BATCHES[-1]))
        words = f"calls for a preset that {words}"
        rows.append(Row("P1", f"{words}, batch of {BATCHES[0]}", each[BATCHES[0]], target, "calls", detail))
        worst = f"the same, at worst of {BATCHES[0]} to {BATCHES[-1]}: a batch of {dearest}"
        rows.append(Row("P1", worst, each[dearest], None, "calls"))
    unflagged = lab.calls(ready=100) - lab.calls()
    rows.append(Row("P1", "calls for an unflagged preset", unflagged / 100, 0, "calls", "100 presets"))
    return rows


def p2_speed(lab: Lab) -> list[Row]:
    """One task against one preset after the other."""
    ours, theirs = lab.seconds(300), lab.seconds(300, sequential=True)
    detail = f"{theirs:.1f} s and {ours:.1f} s"
    words = "300 presets, 30 ms a call: times faster than one by one"
    return [Row("P2", words, theirs / ours, 8, "times", detail, at_least=True)]


def p3_quota(lab: Lab) -> list[Row]:
    """The same, against the quota's own floor."""
    seconds, floor = lab.seconds(300, puts=PUTS), 299 / PUTS
    words = f"300 presets at {PUTS:.0f} puts/s and {LOOKUPS:.0f} lookups/s: time against the quota's floor"
    return [Row("P3", words, seconds / floor, 1.1, "times", f"{seconds:.1f} s, floor {floor:.1f} s; no failed try")]


def p4_whole_run(lab: Lab) -> list[Row]:
    """A whole DAG run under a real scheduler and LocalExecutor."""
    from tests.system.real_airflow import RealAirflow

    with running(AVAILABLE=300) as aws:
        environment = {
            "AIRFLOW_CONN_AWS_DEFAULT": airflow_connection(aws),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "NO_PROXY": "127.0.0.1",
            "AIRFLOW__SPOT_RUNNER__SCHEDULE": "",
            "AIRFLOW__SPOT_RUNNER__TABLE_NAME": TABLE,
        }
        home = lab.folder / "airflow"
        home.mkdir()
        with RealAirflow(home, environment) as airflow:

            def run(run_id: str, corrected: int) -> float:
                aws.reset()
                airflow.trigger(DAG_ID, run_id)
                found = airflow.call("GET", f"dags/{DAG_ID}/dagRuns/{run_id}")
                assert found["state"] == "success", found
                puts = aws.calls().get("ssm.PutParameter", 0)
                assert puts == corrected, f"{puts} puts in the run {run_id}, not {corrected}"
                begin, end = (datetime.fromisoformat(found[key]) for key in ("start_date", "end_date"))
                return (end - begin).total_seconds()

            full = run("stale", corrected=300)
            idle = statistics.median(run(f"nothing-{number}", corrected=0) for number in range(3))
    detail = f"{full:.1f} s and {idle:.1f} s"
    return [Row("P4", "a whole DAG run of 300 stale presets against one of none", full / idle, 4, "times", detail)]


def p5_detection(lab: Lab) -> list[Row]:
    """What detection reads, and what it costs in our own process: of the processor's time the least of some runs."""
    measured = {}

    def least(aws: ControlClient) -> dict[str, Any]:
        runs, peak = [], measure("allocations", lab.folder, aws)["peak"]
        for _ in range(REPEATS):
            aws.reset()
            runs.append(lab.detect(aws))
        cpu = min(each["cpu"] for each in runs)
        return runs[-1] | {"cpu": cpu, "peak": peak}

    for states, jobs in [(5000, 100_000), (2500, 100_000), (5000, 50_000)]:
        with running(ready=states, jobs=jobs) as aws:
            found = least(aws)
            assert found["states"] == states, found
            log = aws.call_log()
            measured[states, jobs] = found | {
                "items": sum(_items_read(call) for call in log),
                "bytes": sum(call.size or 0 for call in log),
            }
    with running() as aws:
        empty = least(aws)
    whole, half, fewer_jobs = measured.values()
    own = {name: [each[name] - empty[name] for each in measured.values()] for name in ("cpu", "peak")}
    return [
        Row("P5", "items read, a record", whole["items"] / 5000, 1, "items", "5,000 records, 100,000 runner jobs"),
        Row("P5", "bytes read, with half the runner jobs", whole["bytes"] / fewer_jobs["bytes"], 1.01, "times"),
        Row("P5", "bytes read, with half the records", whole["bytes"] / half["bytes"], 2.1, "times"),
        Row(
            "P5",
            "processor time with twice the records",
            own["cpu"][0] / own["cpu"][1],
            2.4,
            "times",
            f"{own['cpu'][1]:.2f} s and {own['cpu'][0]:.2f} s above an empty table",
        ),
        Row("P5", "processor time with twice the runner jobs", own["cpu"][0] / own["cpu"][2], 1.25, "times"),
        Row(
            "P5",
            "memory with twice the records",
            own["peak"][0] / own["peak"][1],
            2.4,
            "times",
            f"{own['peak'][1] / 1e6:.0f} MB and {own['peak'][0] / 1e6:.0f} MB above an empty table",
        ),
        Row("P5", "memory with twice the runner jobs", own["peak"][0] / own["peak"][2], 1.25, "times"),
    ]


def p6_fleet(lab: Lab) -> list[Row]:
    """Calls and memory of one task with many presets."""
    calls, peaks = {}, {}
    for count in (0, 1_000, 10_000):
        with running(AVAILABLE=count) as aws:
            lab.detect(aws)
            aws.reset()
            done = lab.reconcile(aws)
            assert sum(done["outcomes"].values()) == done["outcomes"].get("corrected_ready", 0) == count, done
            calls[count], peaks[count] = sum(aws.calls().values()), done["peak"]
    each = {count: calls[count] / count for count in (1_000, 10_000)}
    detail = ", ".join(f"{value:.3f} with {count:,}" for count, value in each.items())
    above = (peaks[10_000] - peaks[0]) / 1e6
    return [
        Row("P6", "calls a preset, 10,000 against 1,000", each[10_000] / each[1_000], 1.01, "times", detail),
        Row("P6", "memory for 10,000 presets above an empty process", above, 150, "MB"),
    ]


def p7_parsing(lab: Lab) -> list[Row]:
    """Importing the DAG file."""
    ours, theirs = _medians(
        lambda: measure("parse", lab.folder, dag_file=str(DAG_FILE)),
        lambda: measure("parse", lab.folder, dag_file=str(AMAZON_DAG_FILE)),
    )
    made = measure("parse", lab.folder, dag_file=str(DAG_FILE))
    heavy = made["clients"] + len(made["imported"])
    detail = f"{ours:.2f} s and {theirs:.2f} s of the processor, medians of {REPEATS}"
    return [
        Row("P7", "importing the DAG file against three Amazon operators", ours / theirs, 1.15, "times", detail),
        Row("P7", "clients made, fastapi or moto imported by it", heavy, 0, "of them"),
    ]


def p8_start(lab: Lab) -> list[Row]:
    """What a task needs before its first call."""
    with running() as aws:
        ours, theirs = _medians(
            lambda: measure("start", lab.folder, aws), lambda: measure("bare", lab.folder, aws), repeats=9
        )
        sessions = measure("start", lab.folder, aws)["sessions"]
    detail = f"{ours * 1000:.0f} ms and {theirs * 1000:.0f} ms of the processor, medians of 9"
    return [
        Row("P8", "sessions a task", sessions, 1, "sessions"),
        Row("P8", "hooks and clients against a bare session with three", ours / theirs, 1.3, "times", detail),
    ]


def p9_idle(lab: Lab) -> list[Row]:
    """A run with nothing stale: detection and report."""
    rows = []
    for count in (20, 10_000):
        with running(ready=count) as aws:
            aws.reset()
            done = measure("idle", lab.folder, aws)
            assert done == {"batches": 0, "presets": count}, done
            log = aws.call_log()
        # A page is told by where it begins.
        pages = {json.dumps(call.body.get("ExclusiveStartKey")) for call in log if "AMI" in call.keys}
        words = f"calls of a whole run on {count:,} presets with nothing stale: pages of AMI states, and 1"
        detail = ", ".join(f"{number} {name}" for name, number in Counter(call.operation for call in log).items())
        rows.append(Row("P9", words, len(log), len(pages) + 1, "calls", detail))
    return rows


def more(lab: Lab) -> list[Row]:
    """What no target is set for: a quota that tasks share, and a higher one."""
    rows = []
    for words, at_once, puts in [
        ("8 tasks with 300 presets between them at 3 puts/s", True, PUTS),
        ("300 presets in one task at 10 puts/s", False, HIGH_PUTS),
    ]:
        seconds, floor = lab.seconds(300, puts=puts, at_once=at_once), 299 / puts
        detail = f"{seconds:.1f} s, floor {floor:.1f} s"
        rows.append(Row("-", f"{words}: time against the quota's floor", seconds / floor, None, "times", detail))
    return rows


def _items_read(call: Call) -> int:
    """Return how many items of the table a call reads."""
    return call.scanned_count or (len(call.keys) if call.operation.endswith("GetItem") else 0)


def _medians(
    one: Callable[[], dict[str, Any]], other: Callable[[], dict[str, Any]], repeats: int = REPEATS
) -> tuple[float, float]:
    """Return the median seconds of two measurements, taken in turns."""
    pairs = [(one()["seconds"], other()["seconds"]) for _ in range(repeats)]
    first, second = zip(*pairs, strict=True)
    return statistics.median(first), statistics.median(second)


ROWS: dict[str, Callable[[Lab], list[Row]]] = {
    "P1": p1_calls,
    "P2": p2_speed,
    "P3": p3_quota,
    "P4": p4_whole_run,
    "P5": p5_detection,
    "P6": p6_fleet,
    "P7": p7_parsing,
    "P8": p8_start,
    "P9": p9_idle,
    "more": more,
}
