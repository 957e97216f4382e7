"""The rows of the table: what is measured, how, and against which target."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks import whole_run
from benchmarks.aws import running
from benchmarks.figures import Aim, Figure, in_turn, median_ratio
from benchmarks.parse import parsed
from benchmarks.processes import measure
from spot_runner_provider.embedded.call import ApiCall
from tests.system.real_airflow import RealAirflow

REPOSITORY = Path(__file__).parents[1]
DAG_FILE = REPOSITORY / "dags" / "spot_runner_reconcile.py"
AMAZON_DAG_FILE = REPOSITORY / "benchmarks" / "dags" / "three_amazon_operators.py"
PUTS, HIGH_PUTS, LOOKUPS = 3.0, 10.0, 10.0
"""Calls per second: PutParameter in SSM, by default and with high throughput, and listings in Image Builder."""
SEEDS = (1, 2, 3)
BATCHES = tuple(range(10, 26))
"""Batch sizes: from ten on, a size costs more per preset than the one before only if it begins a new ten."""

Work = Literal["one task", "one by one", "eight tasks"]


@dataclass(frozen=True)
class Far:
    """A run with 30 ms per call: its seconds on a virtual clock, and its calls with throttled ones and detection."""

    seconds: float
    calls: int


@dataclass(frozen=True)
class Cost:
    """What a reconciling task took: its calls with those of detection, and its peak memory in bytes."""

    calls: int
    peak: int


@dataclass(frozen=True)
class Lab:
    """Where the measurements run.

    :param folder: an empty folder for an Airflow home.
    :param say: called with what is measured now.
    """

    folder: Path
    say: Callable[[str], None]
    _costs: dict[int, Cost] = field(default_factory=dict)
    _far: dict[tuple[Work, int, float | None, int], Far] = field(default_factory=dict)

    def calls(self, **fleet: int) -> int:
        """Detect and reconcile a fleet; return the number of calls."""
        with running(**fleet) as aws:
            measure("reconcile", aws, presets=measure("detect", aws))
            return sum(aws.calls().values())

    def calls_by_size(self, build: str) -> dict[int, int]:
        """Return the calls for each of :data:`BATCHES`, of presets whose build ended like this, with detection."""
        with running(**{build: sum(BATCHES)}) as aws:
            presets = measure("detect", aws)
            detection = sum(aws.calls().values())
            made: dict[int, int] = measure("calls", aws, presets=presets, sizes=BATCHES)
        return {size: detection + calls for size, calls in made.items()}

    def cost(self, count: int) -> Cost:
        """Detect and correct so many presets in one task; measured once."""
        if count not in self._costs:
            self.say(f"{count:,} presets in one task")
            with running(AVAILABLE=count) as aws:
                done = measure("reconcile", aws, presets=measure("detect", aws))
                assert done["outcomes"].total() == done["outcomes"]["corrected_ready"] == count, done
                self._costs[count] = Cost(sum(aws.calls().values()), done["peak"])
        return self._costs[count]

    def far(self, work: Work, count: int, puts: float | None = None, seed: int = SEEDS[0]) -> Far:
        """Correct so many presets with 30 ms per call on a virtual clock; measured once.

        :param work: see :func:`benchmarks.task.far`.
        :param puts: a quota of PutParameter; it implies one of ListImagePipelineImages.
        """
        key = (work, count, puts, seed)
        if key not in self._far:
            quotas = {"ssm.PutParameter": puts, "imagebuilder.ListImagePipelineImages": LOOKUPS} if puts else {}
            self.say(f"{count:,} presets, {work}" + (f" at {puts:g} puts/s" if puts else ""))
            with running(AVAILABLE=count) as aws:
                presets = [] if work == "eight tasks" else measure("detect", aws)
                detection = sum(aws.calls().values())
                done = measure("far", aws, work=work, presets=presets, quotas=quotas, seed=seed)
            assert work == "one by one" or done["outcomes"] == {"corrected_ready": count}, done
            assert not done["failures"], done
            self._far[key] = Far(done["seconds"], detection + done["calls"])
        return self._far[key]

    def against_floor(self, work: Work, count: int, puts: float, seeds: Sequence[int] = SEEDS[:1]) -> Figure:
        """Return the time under a quota relative to the quota's own minimum: the median over the seeds."""
        floor = (count - 1) / puts
        runs = sorted((self.far(work, count, puts, seed) for seed in seeds), key=lambda run: run.seconds)
        middle = runs[len(runs) // 2]
        detail = f"{middle.seconds:.1f} s, floor {floor:.1f} s, {middle.calls / count:.1f} calls a preset"
        return Figure(middle.seconds / floor, f"{detail}; no failed try")


@dataclass(frozen=True)
class Experiment:
    """Rows that are measured together: the aims, and the function that yields a figure for each."""

    title: str
    aims: tuple[Aim, ...]
    measure: Callable[[Lab], Iterator[Figure]]


EXPERIMENTS: dict[str, Experiment] = {}


def experiment(name: str, *aims: Aim) -> Callable[[Callable[[Lab], Iterator[Figure]]], Callable[..., Any]]:
    """Register a function as the experiment with this name; its docstring is the title."""

    def enter(function: Callable[[Lab], Iterator[Figure]]) -> Callable[[Lab], Iterator[Figure]]:
        title = (function.__doc__ or "").partition("\n")[0].rstrip(".")
        EXPERIMENTS[name] = Experiment(title, aims, function)
        return function

    return enter


@experiment(
    "P1",
    Aim("calls for a preset that turns ready, batch of 10", 3.8, "calls"),
    Aim("the same, at worst of 10 to 25", None, "calls"),
    Aim("calls for a preset that turns failed, batch of 10", 2.3, "calls"),
    Aim("the same, at worst of 10 to 25", None, "calls"),
    Aim("calls for a preset that goes on building, batch of 10", 1.3, "calls"),
    Aim("the same, at worst of 10 to 25", None, "calls"),
    Aim("calls for an unflagged preset", 0, "calls"),
)
def calls(lab: Lab) -> Iterator[Figure]:
    """AWS calls a preset, all operations, detection included."""
    for build in ("AVAILABLE", "FAILED", "BUILDING"):
        lab.say(f"batches of 10 to 25 presets, builds {build}")
        each = {size: calls / size for size, calls in lab.calls_by_size(build).items()}
        dearest = max(each, key=lambda size: each[size])
        yield Figure(each[10], ", ".join(f"{each[size]:.2f} in a batch of {size}" for size in (20, 25)))
        yield Figure(each[dearest], f"a batch of {dearest}")
    lab.say("nothing stale")
    yield Figure((lab.calls(ready=100) - lab.calls()) / 100, "100 presets")


@experiment("P2", Aim("300 presets, 30 ms a call: times faster than one by one", 8, "times", at_least=True))
def speed(lab: Lab) -> Iterator[Figure]:
    """One task against one preset after the other."""
    ours, theirs = lab.far("one task", 300).seconds, lab.far("one by one", 300).seconds
    yield Figure(theirs / ours, f"{theirs:.1f} s and {ours:.1f} s")


@experiment("P3", Aim("300 presets at 3 puts/s and 10 lookups/s: time against the quota's floor", 1.1, "times"))
def quota(lab: Lab) -> Iterator[Figure]:
    """One task against the quota's own floor."""
    yield lab.against_floor("one task", 300, PUTS, SEEDS)


@experiment(
    "P4",
    Aim("a whole DAG run of 300 stale presets (10 tasks) against one of none (2 tasks): processor time", 10, "times"),
    Aim("the same by the wall clock, which depends on what else the machine does", None, "times"),
)
def runs(lab: Lab) -> Iterator[Figure]:
    """Whole DAG runs under a real scheduler and LocalExecutor."""
    rounds = 3
    home = lab.folder / "airflow"
    home.mkdir()
    lab.say("Airflow starts, and a first run")
    with running(AVAILABLE=300) as aws, RealAirflow(home, whole_run.environment(aws)) as airflow:
        presets = [preset["presetName"] for preset in measure("detect", aws)]
        whole_run.take(airflow, aws, "first", corrected=300)
        pairs = []
        for number in range(rounds):
            lab.say(f"pair {number + 1} of {rounds}")
            nothing = whole_run.take(airflow, aws, f"nothing-{number}", corrected=0)
            whole_run.make_stale(aws, presets)
            pairs.append((whole_run.take(airflow, aws, f"stale-{number}", corrected=300), nothing))
    processor = [(full.processor, none.processor) for full, none in pairs]
    wall = [(full.wall, none.wall) for full, none in pairs]
    yield Figure(median_ratio(processor), _middle(processor, "s"))
    yield Figure(median_ratio(wall), _middle(wall, "s"))


@experiment(
    "P5",
    Aim("items read, a record", 1, "items"),
    Aim("bytes read, with half the runner jobs", 1.01, "times"),
    Aim("bytes read, with half the records", 2.1, "times"),
    Aim("processor time with twice the records", 2.4, "times"),
    Aim("processor time with twice the runner jobs", 1.25, "times"),
    Aim("memory with twice the records", 2.4, "times"),
    Aim("memory with twice the runner jobs", 1.25, "times"),
)
def detection(lab: Lab) -> Iterator[Figure]:
    """What detection reads, and what it costs in our own process.

    The processor's time is that of the same answers again and again: the emulator has no part in it.
    """
    recorded, logs = [], []
    for states, jobs in [(5000, 100_000), (2500, 100_000), (5000, 50_000)]:
        lab.say(f"{states:,} records, {jobs:,} runner jobs")
        with running(ready=states, jobs=jobs) as aws:
            recorded.append(measure("answers", aws))
            logs.append(aws.call_log())
    rounds = 15
    lab.say(f"{rounds} rounds of detection in turn")
    with running() as aws:
        done = measure("detections", aws, recorded=recorded, rounds=rounds)
    whole, half, fewer_jobs = (sum(call.size or 0 for call in log) for log in logs)
    yield Figure(sum(_items_read(call) for call in logs[0]) / 5000, "5,000 records, 100,000 runner jobs")
    yield Figure(whole / fewer_jobs)
    yield Figure(whole / half)
    seconds = sorted(done["seconds"])[rounds // 2]
    detail = f"{seconds[1] * 1000:.0f} ms and {seconds[0] * 1000:.0f} ms; median of {rounds} pairs in turn"
    yield Figure(median_ratio((whole, half) for whole, half, _ in done["seconds"]), detail)
    yield Figure(median_ratio((whole, fewer) for whole, _, fewer in done["seconds"]))
    whole, half, fewer_jobs = done["peaks"]
    yield Figure(whole / half, f"{half / 1e6:.0f} MB and {whole / 1e6:.0f} MB")
    yield Figure(whole / fewer_jobs)


@experiment(
    "P6",
    Aim("calls a preset, 10,000 against 1,000", 1.01, "times"),
    Aim("memory for 10,000 presets above an empty process", 150, "MB"),
)
def fleet(lab: Lab) -> Iterator[Figure]:
    """Calls and memory of one task with many presets."""
    each = {count: lab.cost(count).calls / count for count in (1_000, 10_000)}
    detail = ", ".join(f"{value:.3f} with {count:,}" for count, value in each.items())
    yield Figure(each[10_000] / each[1_000], detail)
    yield Figure((lab.cost(10_000).peak - lab.cost(0).peak) / 1e6)


@experiment(
    "P7",
    Aim("importing the DAG file against three Amazon operators: processor time", 1.15, "times"),
    Aim("clients made, fastapi or moto imported by it", 0, "of them"),
)
def parsing(lab: Lab) -> Iterator[Figure]:
    """Importing the DAG file."""
    rounds = 7
    lab.say(f"{rounds} rounds of imports in turn")
    pairs = in_turn(rounds, lambda: parsed(DAG_FILE)["seconds"], lambda: parsed(AMAZON_DAG_FILE)["seconds"])
    yield Figure(median_ratio(pairs), _middle(pairs, "s"))
    made = parsed(DAG_FILE)
    yield Figure(made["clients"] + len(made["imported"]))


@experiment(
    "P8",
    Aim("sessions a task", 1, "sessions"),
    Aim("hooks and clients against a bare session with three: processor time", 1.3, "times"),
)
def start(lab: Lab) -> Iterator[Figure]:
    """What a task needs before its first call."""
    rounds = 15
    lab.say(f"{rounds} rounds of hooks and clients in turn")
    with running() as aws:
        yield Figure(measure("start", aws)["sessions"])
        pairs = in_turn(rounds, lambda: measure("start", aws)["seconds"], lambda: measure("bare", aws))
    yield Figure(median_ratio(pairs), _middle(pairs, "s"))


@experiment(
    "P9",
    Aim("calls of a whole run on 20 presets with nothing stale: pages of AMI states, and 1", 2, "calls"),
    Aim("calls of a whole run on 10,000 presets with nothing stale: pages of AMI states, and 1", 3, "calls"),
)
def idle(lab: Lab) -> Iterator[Figure]:
    """A run with nothing stale: detection and report."""
    for count in (20, 10_000):
        lab.say(f"{count:,} presets, nothing stale")
        with running(ready=count) as aws:
            done = measure("idle", aws)
            assert done == {"batches": 0, "presets": count}, done
            made = aws.calls()
        yield Figure(sum(made.values()), ", ".join(f"{number} {name}" for name, number in made.items()))


@experiment(
    "more",
    Aim("8 tasks with 300 presets between them at 3 puts/s: time against the quota's floor", None, "times"),
    Aim("300 presets in one task at 10 puts/s: time against the quota's floor", None, "times"),
)
def more(lab: Lab) -> Iterator[Figure]:
    """What no target is set for: a quota that tasks share, and a higher one."""
    yield lab.against_floor("eight tasks", 300, PUTS)
    yield lab.against_floor("one task", 300, HIGH_PUTS)


def _items_read(call: ApiCall) -> int:
    """Return how many items of the table a call reads."""
    return call.scanned_count or (len(call.keys) if call.operation.endswith("GetItem") else 0)


def _middle(pairs: list[tuple[float, ...]], unit: str) -> str:
    """Return the two values of a ratio, as text."""
    one, other = (statistics.median(each) for each in zip(*pairs, strict=True))
    return f"{one:.2f} {unit} and {other:.2f} {unit}; median of {len(pairs)} pairs in turn"
