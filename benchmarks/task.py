"""What is measured, each in its own process: see :func:`benchmarks.processes.measure`."""

from __future__ import annotations

import gc
import json
import os
import re
import time
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3.session

from benchmarks.clock import VirtualClock
from benchmarks.far import FarAws, use
from benchmarks.figures import in_turn
from benchmarks.replay import Answer, Recorder, Replay
from spot_runner_provider.embedded.control import ControlClient
from spot_runner_provider.embedded.demo.seed import PARAMETER_PREFIX, PIPELINE_PREFIX, TABLE
from spot_runner_provider.operators.detect_stale import DetectStaleOperator
from tests.integration import deployment
from tests.integration.deployment import TaskInstance
from tests.integration.finished_run import DETECT, ran


def detect() -> list[dict[str, Any]]:
    """Run the detecting task; return the stale presets, as a reconciling task expects them."""
    batches, _ = deployment.detect(max_mapped_tasks=1)
    return batches[0] if batches else []


def answers() -> list[Answer]:
    """Run the detecting task; return what AWS answered."""
    recorder = Recorder()
    recorder.install()
    deployment.detect()
    return recorder.answers


def detections(recorded: Sequence[Sequence[Answer]], rounds: int) -> dict[str, Any]:
    """Run detecting tasks on recorded answers, again and again.

    :return: ``seconds`` of the processor, per round a tuple with one value for each recording; ``peaks``, the most
        bytes that each had allocated, as Python counts them.
    """
    replay = Replay()
    replay.install()
    operator = DetectStaleOperator(task_id="detect_stale", table_name=TABLE)

    def run(given: Sequence[Answer]) -> float:
        replay.give(given)
        gc.collect()
        began = time.process_time()
        operator.execute({"ti": TaskInstance()})
        return time.process_time() - began

    def peak_of(given: Sequence[Answer]) -> int:
        tracemalloc.start()
        run(given)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    run(recorded[0])  # makes the client
    seconds = in_turn(rounds, *(lambda given=given: run(given) for given in recorded))  # type: ignore[misc]
    return {"seconds": seconds, "peaks": [peak_of(given) for given in recorded]}


def reconcile(presets: list[dict[str, Any]]) -> dict[str, Any]:
    """Run a reconciling task."""
    forget_peak()
    results = deployment.reconcile(presets)
    return {"peak": peak(), "outcomes": Counter(result["outcome"] for result in results.values())}


def calls(presets: list[dict[str, Any]], sizes: Sequence[int]) -> dict[int, int]:
    """Reconcile presets in batches of these sizes; return the calls for each size."""
    aws, made = ControlClient(_connection()["endpoint_url"]), {}
    for size in sizes:
        some, presets = presets[:size], presets[size:]
        aws.reset()
        assert len(deployment.reconcile(some)) == size
        made[size] = sum(aws.calls().values())
    return made


def far(work: str, presets: list[dict[str, Any]], quotas: dict[str, float], seed: int) -> dict[str, Any]:
    """Reconcile on a virtual clock: each call takes 30 ms, AWS throttles, and the machine's other work does not count.

    :param work: ``one task`` for the presets; ``one by one`` for the sequential algorithm on them; ``eight tasks`` for
        everything stale, at the same time, each with its own clients, including detection.
    :param seed: the seed of the random numbers.
    """
    clock = VirtualClock()
    aws = FarAws(clock, quotas)
    aws.install()
    use(clock, seed)
    results: dict[str, dict[str, Any]] = {}
    failures: list[str] = []
    began = clock()
    match work:
        case "one by one":
            sequential(presets)
        case "one task":
            results = deployment.reconcile(presets)
        case "eight tasks":
            results, failures = deployment.run_at_once()
    seconds = clock() - began
    outcomes = Counter(result["outcome"] for result in results.values())
    return {"seconds": seconds, "calls": aws.calls.total(), "outcomes": outcomes, "failures": failures}


def idle() -> dict[str, Any]:
    """Do the same as a run with nothing stale: the detecting task, and the report."""
    run = ran()
    batches = run.xcom[DETECT, -1, "return_value"]
    return {"batches": len(batches), "presets": len(run.report()["presets"])}


def sequential(presets: list[dict[str, Any]]) -> None:
    """Do the same as the system that this provider complements: six calls per preset, one preset after the other."""
    connection = _connection()
    session = boto3.session.Session("testing", "testing", region_name=connection["region_name"])
    dynamodb, ssm, imagebuilder = (
        session.client(service, endpoint_url=connection["endpoint_url"])
        for service in ("dynamodb", "ssm", "imagebuilder")
    )
    for preset in presets:
        name, now = preset["presetName"], time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        found = imagebuilder.list_image_pipelines(filters=[{"name": "name", "values": [PIPELINE_PREFIX + name]}])
        arn = found["imagePipelineList"][0]["arn"]
        images = imagebuilder.list_image_pipeline_images(imagePipelineArn=arn)["imageSummaryList"]
        newest = max(images, key=lambda image: image["dateCreated"])["arn"]
        image = imagebuilder.get_image(imageBuildVersionArn=newest)["image"]
        ami = image["outputResources"]["amis"][0]["image"]
        dynamodb.update_item(
            TableName=TABLE,
            Key={"jobId": {"S": f"AMI#{name}"}},
            UpdateExpression="SET #status = :ready, amiId = :ami, updatedAt = :now",
            ConditionExpression="updatedAt < :now",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":ready": {"S": "ready"}, ":ami": {"S": ami}, ":now": {"S": now}},
        )
        value = json.loads(ssm.get_parameter(Name=PARAMETER_PREFIX + name)["Parameter"]["Value"])
        ssm.put_parameter(Name=PARAMETER_PREFIX + name, Value=json.dumps({**value, "ami": ami}), Overwrite=True)


def start() -> dict[str, Any]:
    """Let a reconciling task create its hooks and clients, and do nothing else. Seconds are processor time."""
    sessions = 0
    make = boto3.session.Session.__init__

    def counted(*args: Any, **kwargs: Any) -> None:
        nonlocal sessions
        sessions += 1
        make(*args, **kwargs)

    boto3.session.Session.__init__ = counted  # type: ignore[method-assign]
    began = time.process_time()
    deployment.reconcile([])
    return {"seconds": time.process_time() - began, "sessions": sessions}


def bare() -> float:
    """Create a boto3 session and the three clients, after the same imports. Seconds are processor time."""
    connection = _connection()
    began = time.process_time()
    session = boto3.session.Session("testing", "testing", region_name=connection["region_name"])
    for service in ("dynamodb", "ssm", "imagebuilder"):
        session.client(service, endpoint_url=connection["endpoint_url"])  # type: ignore[call-overload]
    return time.process_time() - began


def forget_peak() -> None:
    """Reset the peak: importing modules briefly takes more memory than they need, which would hide what follows."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """Return the peak memory of this process in bytes, as the kernel counts it, for this program alone."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def _connection() -> dict[str, Any]:
    extra: dict[str, Any] = json.loads(os.environ["AIRFLOW_CONN_AWS_DEFAULT"])["extra"]
    return extra
