"""Waiting for builds that go on: in the worker, and in the triggerer, which calls AWS by aiobotocore."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib import import_module
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, TaskDeferred
from moto.core.responses import ActionResult

from spot_runner_provider import clock
from spot_runner_provider.batch.waiting import Watch
from spot_runner_provider.embedded.demo.seed import TABLE
from spot_runner_provider.embedded.faults import Fault
from spot_runner_provider.embedded.imagebuilder.responses import ImageBuilderResponse
from spot_runner_provider.hooks.image_builder import ImageBuilderHook
from spot_runner_provider.operators import reconcile_preset
from spot_runner_provider.operators.reconcile_preset import ReconcilePresetOperator
from spot_runner_provider.records.ami_state import render_timestamp
from spot_runner_provider.records.image import Image
from spot_runner_provider.triggers.images import ImagesTrigger
from tests.integration.asset_dags import declare, events_of
from tests.integration.deployment import NEW, NEWER, TaskInstance, WorkerDied, detect, reconcile
from tests.integration.role_endpoint import RoleEndpoint, role_of_the_worker
from tests.integration.test_links import links

pytestmark = [
    pytest.mark.usefixtures("known_alias"),
    pytest.mark.parametrize("server", ["moto"], indirect=True),  # Image Builder is moto's in both
]

GET_IMAGE = "imagebuilder.GetImage"
PATIENCE = timedelta(seconds=30)
"""So that a test that waits in vain fails, rather than waits for an hour."""
ONCE = {"retries": {"mode": "standard", "total_max_attempts": 1}}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch) -> None:
    """Let a second between two looks, the least that can be set, take a twentieth."""
    pause = Watch.pause
    monkeypatch.setattr(Watch, "pause", lambda watch, now: pause(watch, now) / 20)


@pytest.fixture
def building(deployment) -> Callable[..., str]:
    """Return a function that makes a preset whose build goes on, and returns the image's ARN."""

    def make(name: str = "slow", ami: str = NEW) -> str:
        deployment.preset(name)
        return deployment.image(name, "BUILDING", ami)

    return make


@pytest.fixture
def end(deployment) -> Callable[..., None]:
    """Return a function that lets a build end, as by default it does with success."""
    return lambda arn, status="AVAILABLE": deployment.aws.image_builder.set_image_state(arn, status)


@pytest.fixture
def before_a_look(deployment) -> Callable[[str, Callable[[], Any]], None]:
    """Return a function that lets something happen right before an image is looked at the next time."""
    return lambda arn, happen: deployment.aws.before(GET_IMAGE, arn.rpartition(":image/")[2], happen)


@pytest.fixture
def role_endpoint(deployment, monkeypatch) -> Iterator[RoleEndpoint]:
    with role_of_the_worker(deployment.aws, monkeypatch) as endpoint:
        yield endpoint


@dataclass
class Task:
    """A reconciling task that waits in the triggerer, from one deferral to the next."""

    operator: ReconcilePresetOperator
    ti: TaskInstance
    deferral: Any = None
    results: dict[str, Any] | None = None

    @classmethod
    def begun(cls, presets: Any, ti: TaskInstance | None = None, **arguments: Any) -> Task:
        operator = ReconcilePresetOperator(
            task_id="reconcile_preset",
            presets=presets,
            table_name=TABLE,
            **{"wait_for_completion": True, "deferrable": True, "poll_interval": 1, "wait_timeout": PATIENCE}
            | arguments,
        )
        task = cls(operator, ti or TaskInstance())
        task._run(partial(inspect.unwrap(type(operator).execute), operator))
        return task

    def go_on(self, event: dict[str, Any] | None = None) -> Task:
        """Let the trigger fire, and the task resume, all that is kept in between having been JSON."""
        kept = json.loads(json.dumps(self.deferral.kwargs))
        self._run(partial(getattr(self.operator, self.deferral.method_name), event=event or self.fire(), **kept))
        return self

    def fire(self) -> dict[str, Any]:
        return fire(self.deferral.trigger)

    def _run(self, part: Callable[..., Any]) -> None:
        self.deferral = None
        try:
            results = part(context=self.ti.context)
        except TaskDeferred as deferral:
            self.deferral = deferral
        else:
            self.results = {result["presetName"]: result for result in json.loads(json.dumps(results))}


def fire(trigger: ImagesTrigger) -> dict[str, Any]:
    """Return the event of a trigger as the triggerer runs it: recreated from its serialized form."""
    path, arguments = trigger.serialize()
    module, name = path.rsplit(".", 1)
    anew = getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))

    async def first() -> dict[str, Any]:
        async with aclosing(anew.run()) as events:
            return (await anext(events)).payload

    return asyncio.run(asyncio.wait_for(first(), 60))


def trigger(*arns: str, seconds: float = 30, **arguments: Any) -> ImagesTrigger:
    deadline = render_timestamp(clock.now() + timedelta(seconds=seconds))
    return ImagesTrigger(
        image_arns=arns, **{"deadline": deadline, "poll_interval": 1, "aws_conn_id": "aws_default"} | arguments
    )


def told(finished: list[str], **event: Any) -> dict[str, Any]:
    """The event of a trigger."""
    return {"finished": finished, "refused": {}, "unseen": {}} | event


class TestTrigger:
    @pytest.mark.parametrize("status", ["AVAILABLE", "FAILED", "CANCELLED", "DELETED", "QUARANTINED"])
    def test_fires_once_an_image_no_longer_builds(self, deployment, building, end, before_a_look, status):
        slow, other = building("slow"), building("other")
        looks: list[int] = []

        def look() -> None:
            looks.append(1)
            if len(looks) == 2:
                end(slow, status)
            before_a_look(slow, look)

        before_a_look(slow, look)
        assert fire(trigger(slow, other)) == told([slow])
        assert len(looks) == 2

    def test_fires_at_the_deadline_with_nothing(self, building):
        assert fire(trigger(building(), seconds=0.5)) == told([])

    def test_looks_once_more_at_the_deadline(self, building, end):
        end(slow := building())
        assert fire(trigger(slow, seconds=-5)) == told([slow])

    def test_an_image_that_is_gone_is_awaited_no_longer(self, building):
        gone = building() + "000"
        assert fire(trigger(gone)) == told([gone])

    @pytest.mark.parametrize("kind", ["CallRateLimitExceededException", "500", "reset"])
    def test_a_passing_fault_is_waited_out(self, deployment, building, end, kind):
        end(slow := building())
        deployment.aws.add_fault(Fault(GET_IMAGE, kind, times=2))
        assert fire(trigger(slow)) == told([slow])

    def test_a_fault_that_stays_for_some_time_is_asked_past(self, deployment, building, end):
        end(slow := building())
        deployment.aws.add_fault(Fault(GET_IMAGE, "500", times=2))
        assert fire(trigger(slow, botocore_config=ONCE)) == told([slow])

    def test_an_answer_without_an_image_is_asked_past(self, deployment, building, end, monkeypatch):
        end(slow := building())
        answer, asked = ImageBuilderResponse.get_image, []

        def nothing_at_first(handler: ImageBuilderResponse) -> Any:
            asked.append(1)
            return answer(handler) if len(asked) > 1 else ActionResult({"requestId": "1"})

        monkeypatch.setattr(ImageBuilderResponse, "get_image", nothing_at_first)
        assert fire(trigger(slow)) == told([slow])
        assert len(asked) == 2

    def test_a_missing_permission_is_told(self, deployment, building):
        deployment.aws.add_fault(Fault(GET_IMAGE, "AccessDeniedException"))
        event = fire(trigger(slow := building()))
        assert (event["finished"], event["unseen"]) == ([], {})
        assert f"allow imagebuilder:GetImage on image {slow}" in event["refused"][slow]

    def test_an_image_at_which_nobody_may_look_keeps_from_no_other(self, deployment, building, end, before_a_look):
        denied, slow, done = building("denied"), building("slow"), building("done")
        deployment.aws.add_fault(Fault(GET_IMAGE, "AccessDeniedException", key="*denied*"))
        before_a_look(done, lambda: before_a_look(done, lambda: end(done)))
        event = fire(trigger(denied, slow, done))
        assert (event["finished"], [*event["refused"]], event["unseen"]) == ([done], [denied], {})
        assert deployment.aws.calls()[GET_IMAGE] == 5  # the denied one was looked at once

    def test_what_was_found_stands_though_a_look_fails(self, building, end, monkeypatch):
        end(done := building("done"))
        slow = building("slow")
        read = Image.from_api

        def fail(answer: dict[str, Any]) -> Image:
            if answer["arn"] == slow:
                raise TimeoutError  # which says nothing
            return read(answer)

        monkeypatch.setattr(Image, "from_api", fail)
        assert fire(trigger(done, slow)) == told([done], unseen={slow: "TimeoutError: "})

    def test_an_image_that_could_not_be_seen_in_the_end_is_told(self, deployment, building):
        deployment.aws.add_fault(Fault(GET_IMAGE, "503", key="*dark*"))
        dark, slow = building("dark"), building("slow")
        event = fire(trigger(dark, slow, seconds=1.5, botocore_config=ONCE))
        assert (event["finished"], event["refused"], [*event["unseen"]]) == ([], {}, [dark])
        assert "ServiceUnavailable" in event["unseen"][dark]

    def test_what_answers_nobody_is_asked_once_a_look(self, deployment, building):
        arns = [building(f"p{number}") for number in range(4)]
        deployment.aws.add_fault(Fault(GET_IMAGE, "reset"))
        event = fire(trigger(*arns, seconds=1.5, botocore_config=ONCE))
        assert event["unseen"].keys() == set(arns)
        assert len({call.keys for call in deployment.aws.call_log() if call.operation == GET_IMAGE}) == 1

    def test_a_missing_region_ends_it_at_once(self, building, monkeypatch):
        monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", '{"conn_type": "aws"}')
        assert "No AWS region" in fire(trigger(slow := building(), aws_conn_id="nowhere"))["refused"][slow]

    def test_a_triggerer_without_aiobotocore_is_told_what_to_install(self, building, monkeypatch):
        monkeypatch.setitem(sys.modules, "aiobotocore.session", None)
        refused = fire(trigger(slow := building()))["refused"]
        assert "install airflow-provider-spot-runner[aiobotocore]" in refused[slow]

    def test_credentials_that_cannot_be_had_just_now_are_waited_for(self, building, end, role_endpoint):
        """The instance's metadata endpoint answers 503 for a while, then well."""
        end(slow := building())
        role_endpoint.down(requests=3)
        assert fire(trigger(slow, aws_conn_id="role", seconds=60)) == told([slow])
        assert role_endpoint.refused == 3

    def test_a_connection_that_cannot_be_read_just_now_is_waited_for(self, building, end, monkeypatch):
        end(slow := building())
        read, failed = ImageBuilderHook.get_connection, []

        def nothing_at_first(_: Any, conn_id: str) -> Any:
            if not failed:
                failed.append(1)
                raise ConnectionError("the api-server is down")
            return read(conn_id)

        monkeypatch.setattr(ImageBuilderHook, "get_connection", nothing_at_first)
        assert fire(trigger(slow)) == told([slow])

    def test_it_keeps_what_the_operator_was_given_and_no_secret(self, building):
        arguments = {"aws_conn_id": "aws_default", "region_name": "eu-west-1", "verify": False}
        building()
        task = Task.begun(["slow"], aws_conn_id="aws_default", verify=False, botocore_config={"read_timeout": 5})
        kept = task.deferral.trigger.serialize()[1]
        assert kept.keys() == {*arguments, "image_arns", "deadline", "poll_interval", "botocore_config"}
        assert (kept["verify"], kept["botocore_config"]) == (False, {"read_timeout": 5})
        assert "secret" not in json.dumps([kept, task.deferral.kwargs]).lower()


@pytest.fixture(params=["deferred", "in the worker"])
def awaited(request: pytest.FixtureRequest, deployment: Any) -> Callable[..., dict[str, Any]]:
    """Return a function that reconciles, waits, and returns the results, in either manner."""

    def run(presets: Any, ti: TaskInstance, **arguments: Any) -> dict[str, Any]:
        if request.param == "in the worker":
            arguments = {"poll_interval": 1, "wait_timeout": PATIENCE} | arguments
            return reconcile(presets, ti, wait_for_completion=True, deferrable=False, **arguments)
        task = Task.begun(presets, ti, **arguments)
        while task.results is None:
            task.go_on()
        return task.results

    return run


def test_each_build_is_finished_when_it_has_ended(deployment, building, end, before_a_look, awaited):
    deployment.stale("ready", NEWER)
    slow, slower = building("slow"), building("slower")
    before_a_look(slow, lambda: end(slow))
    deployment.aws.before("dynamodb.UpdateItem", "AMI#slow", lambda: end(slower, "FAILED"))
    (batch,) = detect(max_mapped_tasks=1)[0]
    results = awaited(batch, ti := TaskInstance())
    assert {name: result["outcome"] for name, result in results.items()} == {
        "ready": "corrected_ready",
        "slow": "corrected_ready",
        "slower": "corrected_failed",
    }
    assert list(results) == [item["presetName"] for item in batch]
    assert (deployment.record("slow")["amiId"], deployment.parameter("slow")["ami"]) == (NEW, NEW)
    assert deployment.record("slower")["status"] == "failed"
    assert [deployment.version(name) for name in ("ready", "slow", "slower")] == [2, 2, 1]
    assert sorted(extra["presetName"] for _, extra in ti.events) == ["ready", "slow"]
    assert deployment.writes().count("ssm.PutParameter") == 2
    assert deployment.intents() == []
    assert ti.pushed["_link_ParameterLink"].count(batch[0]["presetName"]) == 1


def test_a_timed_out_wait_says_how_long_it_took(deployment, building, awaited):
    building()
    deployment.stale("ready")
    results = awaited(["slow", "ready"], ti := TaskInstance(), wait_timeout=timedelta(seconds=3))
    assert (results["slow"]["outcome"], results["slow"]["status"]) == ("still_building", "building")
    assert results["slow"]["detail"] == "waited 0.05 minutes for it; the build is BUILDING"
    assert [extra["presetName"] for _, extra in ti.events] == ["ready"]
    assert deployment.record("slow")["status"] == "building"


def test_another_programs_newer_state_wins_while_it_is_waited(deployment, building, end, before_a_look, awaited):
    slow = building()

    def event() -> None:
        end(slow)
        deployment.event_arrives("slow")

    before_a_look(slow, event)
    assert awaited(["slow"], ti := TaskInstance())["slow"]["outcome"] == "superseded"
    assert (deployment.record("slow")["amiId"], ti.events) == (NEWER, [])


def test_a_newer_build_is_waited_for_in_its_turn(deployment, building, end, before_a_look, awaited):
    slow = building()
    newer = []

    def rebuilt() -> None:
        end(slow)
        newer.append(deployment.image("slow", "BUILDING", NEWER, minutes=1))
        before_a_look(newer[0], lambda: end(newer[0]))

    before_a_look(slow, rebuilt)
    assert awaited(["slow"], TaskInstance())["slow"]["amiId"] == NEWER


def test_a_missing_permission_fails_for_good_and_loses_nothing(deployment, building, awaited):
    building()
    deployment.stale("ready")
    deployment.aws.add_fault(Fault(GET_IMAGE, "AccessDeniedException"))
    with pytest.raises(AirflowFailException, match=r"1 of 2 presets cannot be finished .*: slow\. waiting fail"):
        awaited(["slow", "ready"], ti := TaskInstance())
    results = {result["presetName"]: result for result in ti.pushed["return_value"]}
    assert {name: result["outcome"] for name, result in results.items()} == {
        "slow": "refused",
        "ready": "corrected_ready",
    }
    assert results["slow"]["status"] == "building"
    assert results["slow"]["detail"].startswith("waiting failed: Access denied: allow imagebuilder:GetImage")


def test_a_denied_image_ends_only_its_own_wait(deployment, building, end, before_a_look, awaited):
    building("denied")
    slow, slower = building("slow"), building("slower")
    deployment.aws.add_fault(Fault(GET_IMAGE, "AccessDeniedException", key="*denied*"))
    before_a_look(slow, lambda: end(slow))
    before_a_look(slower, lambda: before_a_look(slower, lambda: end(slower)))
    with pytest.raises(AirflowFailException, match=r"cannot be finished .*: denied\."):
        awaited(["denied", "slow", "slower"], ti := TaskInstance())
    assert {result["presetName"]: result["outcome"] for result in ti.pushed["return_value"]} == {
        "denied": "refused",
        "slow": "corrected_ready",
        "slower": "corrected_ready",
    }


def test_missing_credentials_at_the_first_look_end_no_wait(deployment, building, end, awaited, role_endpoint):
    slow = building()
    deployment.aws.before("imagebuilder.ListImagePipelineImages", None, lambda: role_endpoint.down(requests=3))
    deployment.aws.before(GET_IMAGE, None, lambda: end(slow))
    results = awaited(["slow"], TaskInstance(), aws_conn_id="role")
    assert results["slow"]["outcome"] == "corrected_ready"
    assert role_endpoint.refused == 3


@pytest.mark.parametrize("kind", ["503", "reset"])
def test_after_an_unseen_end_the_next_try_waits_again(deployment, building, end, awaited, kind):
    slow = building()
    deployment.stale("ready")
    (batch,) = detect(max_mapped_tasks=1)[0]
    deployment.aws.add_fault(Fault(GET_IMAGE, kind))
    first, second = (TaskInstance(try_number=number) for number in (1, 2))
    with pytest.raises(AirflowException, match="1 of 2 presets failed: slow") as failure:
        awaited(batch, first, wait_timeout=timedelta(seconds=3), botocore_config=ONCE)
    assert not isinstance(failure.value, AirflowFailException)
    results = {result["presetName"]: result for result in first.pushed["return_value"]}
    assert (results["slow"]["outcome"], results["ready"]["outcome"]) == ("error", "corrected_ready")
    assert results["slow"]["detail"].startswith("waited 0.05 minutes, and the last look failed: ")
    deployment.aws.clear_faults()
    end(slow)
    assert awaited(batch, second)["slow"]["outcome"] == "corrected_ready"


def test_a_fault_that_passes_before_the_end_is_waited_out(deployment, building, end, awaited):
    slow = building()
    deployment.aws.add_fault(Fault(GET_IMAGE, "reset", times=2))
    deployment.aws.before("imagebuilder.GetImage", None, lambda: end(slow))
    assert awaited(["slow"], TaskInstance(), botocore_config=ONCE)["slow"]["outcome"] == "corrected_ready"


def test_the_next_try_makes_up_for_an_error_after_the_wait(deployment, building, end, before_a_look, awaited):
    slow = building()
    deployment.stale("ready")
    (batch,) = detect(max_mapped_tasks=1)[0]

    def fail() -> None:
        end(slow)
        deployment.aws.add_fault(Fault("dynamodb.UpdateItem", "500", key="*slow"))

    before_a_look(slow, fail)
    first, second = (TaskInstance(try_number=number) for number in (1, 2))
    with pytest.raises(AirflowException, match="1 of 2 presets failed: slow"):
        awaited(batch, first, botocore_config=ONCE)
    results = {result["presetName"]: result for result in first.pushed["return_value"]}
    assert {name: result["outcome"] for name, result in results.items()} == {
        "slow": "error",
        "ready": "corrected_ready",
    }
    assert "nothing was changed" in results["slow"]["detail"] or "begun" in results["slow"]["detail"]
    assert first.events == []
    deployment.aws.clear_faults()
    results = awaited(batch, second)
    assert {result["outcome"] for result in results.values()} == {"corrected_ready"}
    assert sorted(extra["presetName"] for _, extra in second.events) == ["ready", "slow"]
    assert [deployment.version(name) for name in ("slow", "ready")] == [2, 2]


@pytest.mark.parametrize("blind", ["503", "no image"])
def test_a_build_unseen_at_the_deadline_is_an_error(
    deployment, building, end, before_a_look, awaited, monkeypatch, blind
):
    done, _ = building("done"), building("dark")
    answer = ImageBuilderResponse.get_image
    if blind == "503":
        deployment.aws.add_fault(Fault(GET_IMAGE, blind, key="*dark*"))
    else:
        monkeypatch.setattr(
            ImageBuilderResponse,
            "get_image",
            lambda handler: ActionResult({}) if "dark" in str(handler.querystring) else answer(handler),
        )
    before_a_look(done, lambda: end(done))
    ti = TaskInstance()
    with pytest.raises(AirflowException, match="1 of 2 presets failed: dark") as failure:
        awaited(["done", "dark"], ti, poll_interval=60, wait_timeout=timedelta(seconds=2), botocore_config=ONCE)
    assert not isinstance(failure.value, AirflowFailException)
    results = {result["presetName"]: result for result in ti.pushed["return_value"]}
    assert {name: result["outcome"] for name, result in results.items()} == {"done": "corrected_ready", "dark": "error"}
    assert "and the last look failed: " in results["dark"]["detail"]


@pytest.mark.parametrize(
    ("operation", "detail"),
    [
        ("imagebuilder.ListImagePipelines", "allow imagebuilder:ListImagePipelines"),
        ("dynamodb.UpdateItem", "allow dynamodb:UpdateItem"),
    ],
)
def test_a_permission_missing_after_the_wait_fails_for_good(
    deployment, building, end, before_a_look, awaited, operation, detail
):
    slow, slower = building("slow"), building("slower")

    def deny() -> None:
        end(slow)
        deployment.aws.add_fault(Fault(operation, "AccessDeniedException", times=1))
        before_a_look(slower, lambda: before_a_look(slower, lambda: end(slower)))

    before_a_look(slow, deny)
    with pytest.raises(AirflowFailException, match=r"1 of 2 presets cannot be finished .*: slow\. its build has ended"):
        awaited(["slow", "slower"], ti := TaskInstance())
    results = {result["presetName"]: result for result in ti.pushed["return_value"]}
    assert {name: result["outcome"] for name, result in results.items()} == {
        "slow": "refused",
        "slower": "corrected_ready",
    }
    assert detail in results["slow"]["detail"]


def test_an_error_before_the_wait_leaves_it_to_the_next_try(deployment, building, end, before_a_look, awaited):
    slow = building()
    deployment.stale("unlucky")
    (batch,) = detect(max_mapped_tasks=1)[0]
    deployment.aws.add_fault(Fault("dynamodb.UpdateItem", "500", key="*unlucky"))
    first, second = (TaskInstance(try_number=number) for number in (1, 2))
    with pytest.raises(AirflowException, match="1 of 2 presets failed: unlucky"):
        awaited(batch, first, botocore_config=ONCE)
    assert {result["outcome"] for result in first.pushed["return_value"]} == {"still_building", "error"}
    assert GET_IMAGE not in deployment.aws.calls()
    deployment.aws.clear_faults()
    before_a_look(slow, lambda: end(slow))
    assert {result["outcome"] for result in awaited(batch, second).values()} == {"corrected_ready"}


def test_results_and_links_are_there_during_the_wait(deployment, building):
    deployment.stale("ready")
    building()
    task = Task.begun(["ready", "slow"])
    assert [result["outcome"] for result in task.ti.pushed["return_value"]] == ["corrected_ready", "still_building"]
    before = links(task.ti)
    assert len(before) == 3
    task.go_on(told([]))
    assert links(task.ti) == before


def test_a_worker_that_dies_waiting_leaves_its_results(deployment, building, end, monkeypatch):
    deployment.stale("ready")
    slow, slower = building("slow"), building("slower")

    def die(hook: ImageBuilderHook, arn: str) -> bool:
        if arn == slower and deployment.record("slow")["status"] == "ready":
            raise WorkerDied
        end(slow)
        return arn == slower

    monkeypatch.setattr(ImageBuilderHook, "is_building", die)
    ti = TaskInstance()
    with pytest.raises(WorkerDied):
        reconcile(["ready", "slow", "slower"], ti, wait_for_completion=True, deferrable=False, poll_interval=1)
    assert {result["presetName"]: result["outcome"] for result in ti.pushed["return_value"]} == {
        "ready": "corrected_ready",
        "slow": "corrected_ready",
        "slower": "still_building",
    }


def test_a_task_that_pushes_no_xcom_pushes_none_while_it_waits(deployment, building):
    building()
    task = Task.begun(["slow"], do_xcom_push=False)
    assert (task.deferral is None, task.ti.pushed) == (False, {})


def test_airflow_ends_a_wait_that_no_triggerer_ends(deployment, building):
    building()
    deferral = Task.begun(["slow"], wait_timeout=timedelta(minutes=30)).deferral
    assert timedelta(minutes=39) < deferral.timeout <= timedelta(minutes=40)


@pytest.mark.parametrize("arguments", [{"dry_run": True}, {"wait_for_completion": False}], ids=repr)
def test_it_does_not_wait(deployment, building, arguments):
    building()
    assert Task.begun(["slow"], **arguments).results["slow"]["outcome"] == "still_building"


def test_without_aiobotocore_it_fails_before_anything_is_done(deployment, building, monkeypatch):
    monkeypatch.setattr(reconcile_preset, "can_defer", lambda: False)
    building()
    deployment.stale("ready")
    with pytest.raises(AirflowFailException, match=r"install airflow-provider-spot-runner\[aiobotocore\]"):
        Task.begun(["slow", "ready"])
    assert deployment.aws.calls() == {}
    assert Task.begun(["ready"], deferrable=False).results["ready"]["outcome"] == "corrected_ready"


@pytest.mark.parametrize("arguments", [{"poll_interval": 0}, {"wait_timeout": "long"}], ids=repr)
def test_invalid_arguments_are_refused_first(deployment, arguments):
    with pytest.raises(AirflowFailException, match=next(iter(arguments))):
        Task.begun(["slow"], **arguments)
    assert deployment.aws.calls() == {}


def test_dag_test_which_forgets_what_is_carried_loses_nothing(deployment, building, end, before_a_look, make_dag):
    """It hands a resumed task the event alone."""
    for name in ("a", "c", "d"):
        deployment.stale(name)
    slow = building("b")
    before_a_look(slow, lambda: end(slow))
    waits = "'wait_for_completion': True, 'deferrable': True, 'poll_interval': 1, 'wait_timeout': 0.5"
    label = "'map_index_template': '{{ preset_names }}'"
    dag = make_dag("waits", f"{{'table_name': {TABLE!r}, {label}, {waits}}}")
    declare(dag)
    dag_run = dag.test()
    assert dag_run.state == "success"
    assert [extra["presetName"] for _, extra, _ in events_of(dag_run)] == ["a", "b", "c", "d"]
    labels = {ti.rendered_map_index for ti in dag_run.get_task_instances() if ti.task_id == "mapped"}
    assert labels == {"a, b", "c"}
    assert (deployment.record("b")["status"], deployment.parameter("b")["ami"]) == ("ready", NEW)
    assert [deployment.version(name) for name in "abcd"] == [2, 2, 2, 2]


def test_dag_test_does_not_wait_for_ever(deployment, building, make_dag):
    for name in ("a", "c", "d"):
        deployment.stale(name)
    building("b")
    waits = "'wait_for_completion': True, 'deferrable': True, 'poll_interval': 1, 'wait_timeout': 0.02"
    dag = make_dag("waits_in_vain", f"{{'table_name': {TABLE!r}, {waits}}}")
    declare(dag)
    assert dag.test().state == "success"
    assert deployment.record("b")["status"] == "building"
