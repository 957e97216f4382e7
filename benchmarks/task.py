"""What is measured, each in a process of its own: ``python -m benchmarks.task parse '{"dag_file": "..."}'``.

Whatever is imported outside a function is there before its measurement begins: Python's own modules, and no more.
"""

from __future__ import annotations

import gc
import json
import os
import re
import runpy
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spot_runner_provider.embedded.control import ControlClient

MARK = "measured: "


def measure(name: str, home: Path, aws: ControlClient | None = None, **arguments: Any) -> dict[str, Any]:
    """Run one of the functions below in a process of its own, and return what it measured."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "AWS_"))} | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }
    if aws:
        from spot_runner_provider.embedded.__main__ import airflow_connection

        environment["AIRFLOW_CONN_AWS_DEFAULT"] = airflow_connection(aws)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.task", name, json.dumps(arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for line in done.stdout.splitlines():
        if line.startswith(MARK):
            measured: dict[str, Any] = json.loads(line.removeprefix(MARK))
            return measured
    raise RuntimeError(f"{name} failed:\n{done.stdout[-3000:]}")


def detect(batch: str) -> dict[str, Any]:
    """Run the detecting task; write the stale presets to the file ``batch``."""
    from tests.integration.deployment import detect

    forget_peak()
    cpu, began = time.process_time(), time.monotonic()
    batches, states = detect(max_mapped_tasks=1)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    Path(batch).write_text(json.dumps(batches[0] if batches else []))
    return {"seconds": seconds, "cpu": cpu, "peak": peak(), "states": len(states["states"])}


def allocations() -> dict[str, Any]:
    """Run the detecting task; return the most bytes that it had allocated, as Python counts them: to the byte."""
    from tests.integration.deployment import detect

    tracemalloc.start()
    detect(max_mapped_tasks=1)
    return {"peak": tracemalloc.get_traced_memory()[1]}


def reconcile(batch: str, max_workers: int = 16) -> dict[str, Any]:
    """Run a reconciling task on the presets in the file ``batch``."""
    from tests.integration.deployment import reconcile

    forget_peak()
    presets = json.loads(Path(batch).read_text())
    began = time.monotonic()
    results = reconcile(presets, max_workers=max_workers)
    seconds = time.monotonic() - began
    outcomes = Counter(result["outcome"] for result in results.values())
    return {"seconds": seconds, "peak": peak(), "outcomes": outcomes}


def calls(batch: str, sizes: list[int]) -> dict[str, Any]:
    """Reconcile the presets in the file ``batch`` in batches of these sizes; return the calls for each size."""
    from spot_runner_provider.embedded.control import ControlClient
    from tests.integration.deployment import reconcile

    aws = ControlClient(json.loads(os.environ["AIRFLOW_CONN_AWS_DEFAULT"])["extra"]["endpoint_url"])
    presets, made = json.loads(Path(batch).read_text()), {}
    for size in sizes:
        some, presets = presets[:size], presets[size:]
        aws.reset()
        assert len(reconcile(some)) == size
        made[size] = sum(aws.calls().values())
    return made


def at_once() -> dict[str, Any]:
    """Run the detecting task, and its eight reconciling tasks at the same time, each with clients of its own."""
    from tests.integration.deployment import run_at_once

    began = time.monotonic()
    results, failures = run_at_once()
    seconds = time.monotonic() - began
    outcomes = Counter(result["outcome"] for result in results.values())
    return {"seconds": seconds, "outcomes": outcomes, "failures": failures}


def idle() -> dict[str, Any]:
    """Run what a run with nothing stale does: the detecting task, and the report."""
    from tests.integration.finished_run import DETECT, ran

    run = ran()
    batches = run.xcom[DETECT, -1, "return_value"]
    return {"batches": len(batches), "presets": len(run.report()["presets"])}


def sequential(batch: str) -> dict[str, Any]:
    """Do what the system that this provider complements does: six calls a preset, one preset after the other."""
    import boto3

    from spot_runner_provider.embedded.seed import PARAMETER_PREFIX, PIPELINE_PREFIX, TABLE

    connection = json.loads(os.environ["AIRFLOW_CONN_AWS_DEFAULT"])["extra"]
    session = boto3.Session("testing", "testing", region_name=connection["region_name"])
    dynamodb, ssm, imagebuilder = (
        session.client(service, endpoint_url=connection["endpoint_url"])
        for service in ("dynamodb", "ssm", "imagebuilder")
    )
    presets = json.loads(Path(batch).read_text())
    began = time.monotonic()
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
    return {"seconds": time.monotonic() - began}


def start() -> dict[str, Any]:
    """Let a reconciling task make its hooks and clients, and do nothing. Seconds are of the processor."""
    import airflow.sdk.execution_time.supervisor  # noqa: F401  (a task has it)
    import boto3.session

    from tests.integration.deployment import reconcile

    sessions = 0
    make = boto3.session.Session.__init__

    def counted(*args: Any, **kwargs: Any) -> None:
        nonlocal sessions
        sessions += 1
        make(*args, **kwargs)

    boto3.session.Session.__init__ = counted  # type: ignore[method-assign]
    began = time.process_time()
    reconcile([])
    return {"seconds": time.process_time() - began, "sessions": sessions}


def bare() -> dict[str, Any]:
    """Make a boto3 session and the three clients, after the same imports. Seconds are of the processor."""
    import airflow.sdk.execution_time.supervisor  # noqa: F401
    import boto3

    import tests.integration.deployment  # noqa: F401

    connection = json.loads(os.environ["AIRFLOW_CONN_AWS_DEFAULT"])["extra"]
    began = time.process_time()
    session = boto3.session.Session("testing", "testing", region_name=connection["region_name"])
    for service in ("dynamodb", "ssm", "imagebuilder"):
        session.client(service, endpoint_url=connection["endpoint_url"])  # type: ignore[call-overload]
    return {"seconds": time.process_time() - began}


def parse(dag_file: str) -> dict[str, Any]:
    """Import a DAG file, Airflow included. Seconds are of the processor."""
    began = time.process_time()
    runpy.run_path(dag_file)
    seconds = time.process_time() - began
    clients = 0
    if "botocore.session" in sys.modules:
        from botocore.client import BaseClient

        clients = sum(isinstance(each, BaseClient) for each in gc.get_objects())
    return {"seconds": seconds, "clients": clients, "imported": sorted(sys.modules.keys() & {"fastapi", "moto"})}


def forget_peak() -> None:
    """Let the peak begin anew: importing modules takes more for a moment than they do, and would hide what follows."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """Return the most memory, in bytes, that this process has had: the kernel's own count, of this program alone."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


FUNCTIONS: dict[str, Callable[..., dict[str, Any]]] = {
    each.__name__: each
    for each in (detect, allocations, reconcile, calls, at_once, idle, sequential, start, bare, parse)
}

if __name__ == "__main__":
    print(MARK + json.dumps(FUNCTIONS[sys.argv[1]](**json.loads(sys.argv[2]))))
