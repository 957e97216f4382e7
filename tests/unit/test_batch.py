"""Many presets at once, against three stores in memory."""

import signal
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from spot_runner_provider.batch.batch import BUNDLE, Batch, _Progress
from spot_runner_provider.batch.breaker import PUTS_IN_A_ROW
from spot_runner_provider.hooks.stores import Stores
from spot_runner_provider.protocol.calls import (
    AmbiguousPut,
    Busy,
    Committed,
    ConfigurationError,
    Lost,
    ReadConfig,
    ReadState,
    Refused,
    ResourceRefused,
    Throttled,
)
from spot_runner_provider.protocol.candidate import Candidate, Run
from spot_runner_provider.records.ami_state import AmiState, Status
from spot_runner_provider.records.image import Ami, Image, Pipeline
from spot_runner_provider.records.intent import Intent
from spot_runner_provider.records.parameter import ConfigVersion
from spot_runner_provider.records.platform import Platform

from .values import ACCOUNT, NOW, REGION

RUN = Run(owner="dag/run", attempt="1", region=REGION, clock=lambda: NOW)
IMAGE = Image(
    "arn:image", "AVAILABLE", datetime(2026, 2, 11, 15, 30, tzinfo=UTC), amis=(Ami("ami-0new", REGION, ACCOUNT),)
)
FAILED = replace(IMAGE, status="FAILED", amis=())


@dataclass
class Memory:
    """The three stores in one: records, intents, parameters, and a pipeline with an image (or ``images``) for each.

    ``faults`` maps a request's name, or its name and one preset, to the exception that it ends in, each time.
    ``requests`` tells each request with its presets.
    """

    records: dict[str, AmiState]
    faults: dict = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    intents: dict[str, Intent] = field(default_factory=dict)
    configs: dict[str, ConfigVersion] = field(default_factory=dict)
    requests: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    call_timeout = 1.0

    WRITES = frozenset({"log_intents", "commit", "put", "forget_intents"})

    def __post_init__(self):
        self.configs |= {name: ConfigVersion(1, '{"ami":"pending"}') for name in self.records}

    @property
    def stores(self):
        return Stores(self, self, self)

    @property
    def written(self):
        return [name for name, _ in self.requests if name in self.WRITES]

    def requested(self, name):
        return [presets for request, presets in self.requests if request == name]

    def _request(self, name, *presets):
        self.requests.append((name, presets))
        for fault in (name, *((name, preset) for preset in presets), *((name, len(presets)),)):
            if fault in self.faults:
                raise self.faults[fault]

    def find_pipelines(self, names):
        self._request("find_pipelines", *(name.removeprefix("spot-runner-") for name in names))
        arn = f"arn:aws:imagebuilder:{REGION}:{ACCOUNT}:image-pipeline/"
        return {name: Pipeline(name, arn + name) for name in names}

    def latest_image(self, arn):
        preset = arn.rpartition("/spot-runner-")[2]
        self._request("latest_image", preset)
        return self.images.get(preset, IMAGE)

    def read_states(self, names):
        self._request("read_states", *names)
        return {name: self.records.get(name) for name in names}

    def commit(self, seen, corrected):
        self._request("commit", seen.preset_name)
        present = self.records.get(seen.preset_name)
        if present != seen:
            return Lost(present)
        self.records[seen.preset_name] = corrected
        return Committed()

    def log_intents(self, intents):
        self._request("log_intents", *(intent.preset_name for intent in intents))
        self.intents |= {intent.job_id: intent for intent in intents}

    def forget_intents(self, keys):
        self._request("forget_intents", *(key.split("#")[1] for key in keys))
        for key in keys:
            self.intents.pop(key, None)

    def read(self, names):
        self._request("read", *names)
        return {name: self.configs.get(name) for name in names}

    def describe(self, name, config):
        self._request("describe", name)
        return replace(config, tier="Standard")

    def history(self, name):
        self._request("history", name)
        return [self.configs[name]] if name in self.configs else []

    def put(self, name, config, text):
        self._request("put", name)
        self.configs[name] = replace(config, version=self.configs[name].version + 1, text=text)
        return self.configs[name].version


def presets(count):
    return [f"p{number:02}" for number in range(count)]


def memory(names, **faults_by_request):
    return Memory(
        {name: AmiState(name, Status.BUILDING, "2026-02-11T15:00:00.000Z") for name in names}, **faults_by_request
    )


def run(stores, candidates=None, *, max_workers=1, run=RUN, seen=None):
    candidates = [Candidate(*item) for item in stores.records.items()] if candidates is None else candidates
    batch = Batch(stores.stores, run, max_workers=max_workers, on_result=(seen if seen is not None else []).append)
    return batch.reconcile(candidates)


def outcomes(results):
    return {result.preset_name: result.outcome and result.outcome.value for result in results}


def test_every_preset_is_corrected_in_both_stores():
    stores = memory(presets(3))
    run(stores)
    assert (
        {state.ami_id for state in stores.records.values()},
        {config.text for config in stores.configs.values()},
    ) == (
        {"ami-0new"},
        {'{"ami":"ami-0new"}'},
    )


def test_no_intent_is_left():
    stores = memory(presets(3))
    run(stores)
    assert stores.intents == {}


@pytest.mark.parametrize("max_workers", [1, 4])
@pytest.mark.parametrize("count", [0, 1, BUNDLE, BUNDLE + 1, 3 * BUNDLE + 5])
def test_one_result_each_in_order(count, max_workers):
    results = run(memory(reversed(presets(count))), max_workers=max_workers)
    assert [result.preset_name for result in results] == list(reversed(presets(count)))


def test_each_result_is_told_once():
    told = []
    results = run(memory(presets(25)), max_workers=4, seen=told)
    assert sorted(told, key=lambda result: result.preset_name) == results


class TestBundles:
    @pytest.mark.parametrize("request_name", ["find_pipelines", "read", "log_intents", "read_states", "forget_intents"])
    def test_ten_presets_share_a_request(self, request_name):
        stores = memory(presets(BUNDLE))
        run(stores)
        assert stores.requested(request_name) == [tuple(presets(10))]

    @pytest.mark.parametrize("request_name", ["latest_image", "commit", "put"])
    def test_what_aws_takes_one_by_one(self, request_name):
        stores = memory(presets(BUNDLE))
        run(stores)
        assert stores.requested(request_name) == [(name,) for name in presets(10)]

    @pytest.mark.parametrize("request_name", ["find_pipelines", "read", "log_intents", "read_states", "forget_intents"])
    def test_one_that_fails_together_is_retried_one_by_one(self, request_name):
        stores = memory(presets(3), faults={(request_name, 3): TimeoutError()})
        results = run(stores)
        assert (stores.requested(request_name), set(outcomes(results).values())) == (
            [("p00", "p01", "p02"), ("p00",), ("p01",), ("p02",)],
            {"corrected_ready"},
        )


EVERY_REQUEST = [
    "find_pipelines",
    "latest_image",
    "read",
    "log_intents",
    "commit",
    "put",
    "read_states",
    "forget_intents",
]


class TestOnePresetsError:
    @pytest.mark.parametrize("error", [TimeoutError(), Refused("no"), KeyError("x")], ids=["timeout", "refused", "bug"])
    @pytest.mark.parametrize("request_name", EVERY_REQUEST)
    def test_never_touches_another(self, request_name, error):
        results = run(memory(presets(3), faults={(request_name, "p01"): error}))
        assert outcomes(results) == {"p00": "corrected_ready", "p01": "error", "p02": "corrected_ready"}

    def test_nor_does_a_candidate_with_nothing_to_do(self):
        stores = memory(["b"])
        results = run(stores, [Candidate("a"), Candidate("b", stores.records["b"])])
        assert outcomes(results) == {"a": "error", "b": "corrected_ready"}

    def test_nor_does_a_malformed_record_at_the_second_look(self):
        stores = memory(presets(2))
        read_states = stores.read_states
        stores.read_states = lambda names: read_states(names) | {"p00": ValueError("status is none of ...")}
        results = run(stores)
        said = "status is none of" in results[0].detail
        assert (outcomes(results), said) == ({"p00": "error", "p01": "corrected_ready"}, True)

    @pytest.mark.parametrize(
        ("request_name", "left", "resource"),
        [
            ("find_pipelines", "nothing was changed", "pipeline spot-runner-a"),
            ("latest_image", "nothing was changed", "image-pipeline/spot-runner-a"),
            ("read", "nothing was changed", "parameter /spot-runner/configs/a"),
            ("log_intents", "nothing was changed", "intent AMI-INTENT#a#dag/run/1"),
            ("put", "what was begun is finished", "parameter /spot-runner/configs/a"),
            ("read_states", "what was begun is finished", "record AMI#a"),
            ("forget_intents", "what was begun is finished", "intent AMI-INTENT#a#dag/run/1"),
        ],
    )
    def test_its_detail_says_what_was_left_and_what_failed(self, request_name, left, resource):
        (result,) = run(memory(["a"], faults={request_name: TimeoutError("late")}))
        cause, _, told = result.detail.partition("; ")
        assert (cause.endswith(f"{resource}: TimeoutError: late"), told.startswith(left)) == (True, True)

    def test_an_own_commit_that_was_recognised_counts_as_committed(self):
        stores = memory(["a"], faults={"put": TimeoutError()})
        candidate = Candidate("a", stores.records["a"])
        stores.records["a"] = candidate.state.now_ready("ami-0new", build_id="arn", at=NOW, by="dag/run")
        (result,) = run(stores, [candidate])
        assert "; what was begun is finished" in result.detail

    def test_an_unfinished_preset_is_not_called_unchanged(self):
        stores = memory(["a"], faults={"forget_intents": TimeoutError()})
        stores.records["a"] = stores.records["a"].now_ready("ami-0new", build_id="arn", at=NOW, by="dag/before")
        intent = Intent("AMI-INTENT#a#dag/before/1", "a", "2026-02-11T15:00:00.000Z", 1)
        (result,) = run(stores, [Candidate("a", stores.records["a"], (intent,))])
        assert "nothing was changed" not in result.detail

    def test_an_ambiguous_commit_is_not_called_unchanged(self):
        (result,) = run(memory(["a"], faults={"commit": TimeoutError()}))
        assert "nothing was changed" not in result.detail

    def test_a_refused_commit_was_certainly_not_applied(self):
        (result,) = run(memory(["a"], faults={"commit": Refused("no")}))
        assert "; nothing was changed" in result.detail

    def test_a_refused_commit_is_told_by_its_record(self):
        (result,) = run(memory(["a"], faults={"commit": Refused("no")}))
        assert "record AMI#a" in result.detail

    def test_a_dry_run_says_so(self):
        (result,) = run(memory(["a"], faults={"read": TimeoutError()}), run=replace(RUN, dry_run=True))
        assert result.dry_run is True


UNANSWERED = ReadTimeoutError(endpoint_url="https://ssm.us-east-1.amazonaws.com")
SERVER_ERROR = ClientError(
    {"Error": {"Code": "InternalServerError"}, "ResponseMetadata": {"HTTPStatusCode": 500}}, "GetParameters"
)
EVERYBODYS = {
    "read timeout": UNANSWERED,
    "connect timeout": ConnectTimeoutError(endpoint_url="https://ssm.us-east-1.amazonaws.com"),
    "refused or unknown host": EndpointConnectionError(endpoint_url="https://ssm.us-east-1.amazonaws.com"),
    "TLS": SSLError(endpoint_url="https://ssm.us-east-1.amazonaws.com", error="handshake failure"),
    "proxy": ProxyConnectionError(proxy_url="http://proxy:8080"),
    "closed": ConnectionClosedError(endpoint_url="https://ssm.us-east-1.amazonaws.com"),
    "credentials": CredentialRetrievalError(provider="container-role", error_msg="503"),
}
DOUBTFUL = {
    "server error": SERVER_ERROR,
    "throttled": ClientError({"Error": {"Code": "ThrottlingException"}}, "GetParameters"),
    "unreadable": ResponseParserError("<html>"),
    "unprocessed": TimeoutError("DynamoDB left part of a batch unprocessed"),
}


def ambiguous(error):
    put = AmbiguousPut(f"no answer to the put: {error}")
    put.__cause__ = error
    return put


class TestEverybodysTrouble:
    """It is met once, however many presets there are."""

    @pytest.mark.parametrize("request_name", EVERY_REQUEST)
    @pytest.mark.parametrize("error", EVERYBODYS.values(), ids=EVERYBODYS)
    def test_costs_one_request_and_every_preset_says_so(self, request_name, error):
        once = request_name == "put"  # which has no repetitions of its own
        met = ambiguous(error) if once else error
        stores = memory(presets(25), faults={request_name: met})
        results = run(stores)
        assert set(outcomes(results).values()) == {"error"}
        assert len(stores.requested(request_name)) == (PUTS_IN_A_ROW if once else 1)
        assert f"not tried, because this failed before: {type(met).__name__}: {met}" in results[-1].detail

    @pytest.mark.parametrize("request_name", EVERY_REQUEST)
    @pytest.mark.parametrize("error", DOUBTFUL.values(), ids=DOUBTFUL)
    def test_a_bad_answer_is_everybodys_after_some_presets_in_a_row(self, request_name, error):
        enough = PUTS_IN_A_ROW if request_name == "put" else 3
        stores = memory(presets(25), faults={request_name: ambiguous(error) if request_name == "put" else error})
        assert set(outcomes(run(stores)).values()) == {"error"}
        assert len([asked for asked in stores.requested(request_name) if len(asked) == 1]) == enough

    @pytest.mark.parametrize("request_name", EVERY_REQUEST)
    def test_a_bad_answer_to_fewer_is_theirs(self, request_name):
        bad = ambiguous(SERVER_ERROR) if request_name == "put" else SERVER_ERROR
        stores = memory(presets(25), faults={(request_name, name): bad for name in ("p00", "p01", "p04")})
        errors = [name for name, outcome in outcomes(run(stores)).items() if outcome == "error"]
        assert errors == ["p00", "p01", "p04"]

    def test_a_refusal_of_one_after_the_other_is_theirs(self):
        bad = ClientError({"Error": {"Code": "ValidationException"}}, "GetParameters")
        stores = memory(presets(12), faults={("read", name): bad for name in presets(9)})
        assert list(outcomes(run(stores)).values()) == ["error"] * 9 + ["corrected_ready"] * 3

    def test_who_does_not_need_such_a_call_is_done(self):
        stores = memory(presets(25), faults={"read": UNANSWERED})
        stores.images |= {"p05": FAILED, "p24": FAILED}
        done = {name: outcome for name, outcome in outcomes(run(stores)).items() if outcome != "error"}
        assert done == {"p05": "corrected_failed", "p24": "corrected_failed"}

    @pytest.mark.parametrize(("request_name", "error"), [("commit", UNANSWERED), ("put", ambiguous(UNANSWERED))])
    def test_nobody_begins_what_cannot_be_done(self, request_name, error):
        stores = memory(presets(25), faults={request_name: error})
        run(stores)
        assert {name for names in stores.requested("log_intents") for name in names} == set(presets(10))

    def test_an_intent_of_a_commit_that_was_not_tried_is_forgotten(self):
        stores = memory(presets(3), faults={"commit": UNANSWERED})
        results = run(stores)
        assert [intent.preset_name for intent in stores.intents.values()] == ["p00"]  # nobody knows of that one
        first = f"ReadTimeoutError: {UNANSWERED}"
        untried = f"not tried, because this failed before: {first}; nothing was changed, it is tried again in the next "
        assert [result.detail.removesuffix("try or run") for result in results] == [
            f"record AMI#p00: {first}; what was begun is finished in the next ",
            untried,
            untried,
        ]

    def test_what_was_committed_and_not_put_has_its_intent(self):
        stores = memory(presets(BUNDLE), faults={"put": ambiguous(UNANSWERED)})
        run(stores)
        assert {intent.preset_name for intent in stores.intents.values()} == set(presets(BUNDLE))

    def test_a_finishing_try_that_puts_nothing_begins_nothing(self):
        stores = memory(presets(BUNDLE + 1), faults={"put": ambiguous(UNANSWERED)})
        ready = AmiState("p10", Status.READY, "2026-02-11T15:00:00.000Z", "ami-0new")
        intent = Intent.of("p10", owner="dead", at=NOW, param_version=1, ami_id="ami-0new", build_id="arn")
        stores.intents[intent.job_id] = intent
        candidates = [Candidate(*item) for item in stores.records.items()]
        run(stores, [*candidates[:-1], Candidate("p10", ready, (intent,))])
        assert [each for each in stores.intents.values() if each.preset_name == "p10"] == [intent]

    def test_a_look_at_another_presets_record_begins_nothing(self):
        """So it takes no turn of a put."""
        names = ("spot-runner-{preset}", "spot-runner-{preset}-windows")
        candidate = Candidate("p", AmiState("p", Status.BUILDING, "2026-02-11T15:00:00.000Z"))
        progress = _Progress(candidate, replace(RUN, pipeline_names=names))
        progress.advance(next)
        progress.answer((Pipeline("spot-runner-p-windows", "arn:pipeline"),))
        assert (progress.call, progress.begins) == (ReadState("p-windows"), False)
        for answer in (None, IMAGE):
            progress.answer(answer)
        assert (progress.call, progress.begins) == (ReadConfig("p"), True)

    def test_a_failed_build_whose_platform_is_compared_begins_nothing(self):
        candidate = Candidate("p", AmiState("p", Status.BUILDING, "2026-02-11T15:00:00.000Z"))
        progress = _Progress(candidate, replace(RUN, pipeline_names=("{preset}", "{preset}-windows")))
        progress.advance(next)
        for answer in ((Pipeline("p", "arn:pipeline"),), replace(FAILED, platform=Platform.LINUX)):
            progress.answer(answer)
        assert (progress.call, progress.begins) == (ReadConfig("p"), False)

    @pytest.mark.parametrize("max_workers", [2, 4])
    def test_threads_share_what_is_known(self, max_workers):
        stores = memory(presets(200), faults={"latest_image": UNANSWERED})
        assert set(outcomes(run(stores, max_workers=max_workers)).values()) == {"error"}
        assert len(stores.requested("latest_image")) <= max_workers


class TestWhatOnlyAPersonCanMend:
    @pytest.mark.parametrize("max_workers", [1, 4])
    @pytest.mark.parametrize("request_name", ["find_pipelines", "latest_image", "read", "log_intents"])
    def test_before_the_first_write_it_ends_the_batch(self, request_name, max_workers):
        stores = memory(presets(25), faults={request_name: ConfigurationError("no permission")})
        with pytest.raises(ConfigurationError, match="no permission"):
            run(stores, max_workers=max_workers)

    @pytest.mark.parametrize("request_name", ["find_pipelines", "latest_image", "read"])
    def test_nothing_is_written_after_it(self, request_name):
        stores = memory(presets(25), faults={request_name: ConfigurationError("no permission")})
        with pytest.raises(ConfigurationError):
            run(stores)
        assert stores.written == []

    def test_nothing_more_is_asked_after_it(self):
        stores = memory(presets(25), faults={"find_pipelines": ConfigurationError("no permission")})
        with pytest.raises(ConfigurationError):
            run(stores)
        assert {request for request, *_ in stores.requests} == {"find_pipelines"}

    @pytest.mark.parametrize("request_name", ["find_pipelines", "log_intents"])
    def test_what_all_have_in_common_is_asked_for_once(self, request_name):
        stores = memory(presets(25), faults={request_name: ConfigurationError("no permission")})
        with pytest.raises(ConfigurationError):
            run(stores)
        assert stores.requested(request_name) == [tuple(presets(BUNDLE))]

    @pytest.mark.parametrize("request_name", ["latest_image", "read"])
    def test_one_of_a_bundle_is_refused_alone(self, request_name):
        """A pipeline, a parameter or its key may be denied to one preset alone."""
        stores = memory(presets(3), faults={(request_name, "p01"): ConfigurationError("no permission")})
        assert outcomes(run(stores)) == {"p00": "corrected_ready", "p01": "refused", "p02": "corrected_ready"}

    def test_the_only_preset_with_such_a_call_is_refused_alone(self):
        stores = memory(presets(10), faults={"read": ConfigurationError("no permission")})
        stores.images |= dict.fromkeys(presets(10)[1:], FAILED)
        assert outcomes(run(stores)) == {"p00": "refused"} | dict.fromkeys(presets(10)[1:], "corrected_failed")

    @pytest.mark.parametrize("request_name", ["latest_image", "read"])
    def test_a_whole_bundles_refusal_is_not_that_of_the_others(self, request_name):
        denied = dict.fromkeys(((request_name, name) for name in presets(10)), ConfigurationError("no permission"))
        found = outcomes(run(memory(presets(20), faults=denied)))
        assert list(found.values()) == ["refused"] * 10 + ["corrected_ready"] * 10

    @pytest.mark.parametrize("request_name", ["latest_image", "read"])
    def test_it_fails_a_batch_of_one(self, request_name):
        stores = memory(["a"], faults={request_name: ConfigurationError("no permission")})
        with pytest.raises(ConfigurationError, match="no permission"):
            run(stores)

    @pytest.mark.parametrize("request_name", ["commit", "put", "read_states", "forget_intents"])
    def test_after_the_first_write_it_is_one_presets_refusal(self, request_name):
        stores = memory(presets(3), faults={(request_name, "p01"): ConfigurationError("no permission")})
        assert outcomes(run(stores)) == {"p00": "corrected_ready", "p01": "refused", "p02": "corrected_ready"}

    def test_a_write_of_another_bundle_counts(self):
        stores = memory(presets(BUNDLE + 1), faults={("find_pipelines", "p10"): ConfigurationError("no permission")})
        assert outcomes(run(stores))["p10"] == "refused"

    def test_a_write_that_was_refused_does_not_count(self):
        stores = memory(["a"], faults={"log_intents": ConfigurationError("no permission")})
        with pytest.raises(ConfigurationError):
            run(stores)

    def test_commits_denied_to_all_end_the_batch_without_intents(self):
        stores = memory(presets(3), faults={"commit": ConfigurationError("no permission")})
        with pytest.raises(ConfigurationError, match="no permission"):
            run(stores)
        assert (stores.requested("commit"), stores.intents) == ([("p00",), ("p01",), ("p02",)], {})

    def test_each_run_reports_a_denied_put_alike(self):
        stores = memory(["a"], faults={"put": ConfigurationError("no permission")})
        assert outcomes(run(stores)) == {"a": "refused"}
        (intent,) = stores.intents.values()
        assert outcomes(run(stores, [Candidate("a", stores.records["a"], (intent,))])) == {"a": "refused"}

    @pytest.mark.parametrize("request_name", ["find_pipelines", "latest_image", "read", "log_intents", "commit", "put"])
    def test_a_refused_resource_does_not_end_the_batch(self, request_name):
        stores = memory(presets(2), faults={request_name: ResourceRefused("its limit is reached")})
        assert outcomes(run(stores)) == {"p00": "refused", "p01": "refused"}

    @pytest.mark.parametrize(
        ("request_name", "said"),
        [("read", "no; nothing was changed"), ("put", "no; the next run after that finishes what was begun")],
    )
    def test_its_detail_begins_with_the_reason(self, request_name, said):
        (result,) = run(memory(["a"], faults={request_name: ResourceRefused("no")}))
        assert result.detail == said


class TestTheEnd:
    """Of a batch whose task is to end: by Airflow's time-out, or by SIGTERM."""

    class TimeOut(BaseException):
        """Raised in the main thread, as Airflow's is."""

    @pytest.fixture
    def time_out(self):
        """Return a function that sends the main thread a signal, once."""
        sent = threading.Lock()

        def handler(*_):
            raise self.TimeOut

        before = signal.signal(signal.SIGUSR1, handler)
        yield lambda: sent.acquire(blocking=False) and signal.raise_signal(signal.SIGUSR1)
        signal.signal(signal.SIGUSR1, before)

    @pytest.mark.parametrize("request_name", ["latest_image", "put"])
    def test_comes_with_the_calls_under_way(self, time_out, request_name):
        class Slow(Memory):
            def _request(self, name, *presets):
                super()._request(name, *presets)
                if name == request_name:
                    time_out()
                    time.sleep(0.1)

        stores = Slow(memory(presets(80)).records)
        with pytest.raises(self.TimeOut):
            run(stores, max_workers=4)
        assert len(stores.requested(request_name)) <= 4 + 4  # some begin while the main thread wakes up


class TestThrottling:
    """Where a store throttles, presets take turns: read, commit and put one after the other."""

    @dataclass
    class Throttling(Memory):
        """Throttles some requests, by name: those with these numbers."""

        numbers: dict[str, range] = field(default_factory=dict)

        def _request(self, name, *presets):
            number = len(self.requested(name))
            super()._request(name, *presets)
            if number in self.numbers.get(name, ()):
                raise Throttled(name)

    def reconciled(self, monkeypatch, count=12, **numbers):
        monkeypatch.setattr("spot_runner_provider.batch.pace.LONGEST", 0.001)
        stores = self.Throttling(memory(presets(count)).records, numbers=numbers)
        assert set(outcomes(run(stores)).values()) == {"corrected_ready"}
        return stores

    def test_a_lookup_is_repeated(self, monkeypatch):
        stores = self.reconciled(monkeypatch, latest_image=range(1, 6))
        assert len(stores.requested("latest_image")) == 12 + 5

    def test_a_put_is_repeated_from_what_was_read_afresh(self, monkeypatch):
        stores = self.reconciled(monkeypatch, put=range(1))
        requests = [name for name, presets in stores.requests if presets == ("p00",)]
        begun = requests.index("put")
        assert requests[begun : begun + 4] == ["put", "read_states", "history", "put"]

    def test_after_a_throttle_each_read_is_right_before_its_put(self, monkeypatch):
        stores = self.reconciled(monkeypatch, put=range(1))
        assert stores.requested("read") == [tuple(presets(10)), ("p10",), ("p11",)]
        late = [(name, presets) for name, presets in stores.requests if presets in [("p10",), ("p11",)]]
        steps = ["read", "log_intents", "commit", "put", "read_states", "forget_intents"]
        assert late[2:] == [(step, (preset,)) for preset in ("p10", "p11") for step in steps]

    def test_all_presets_end_if_no_put_is_taken_for_long(self, monkeypatch):
        monkeypatch.setattr("spot_runner_provider.batch.pace.LONGEST", 0.001)
        monkeypatch.setattr("spot_runner_provider.batch.pace.PATIENCE", 0.2)
        stores = memory(presets(12), faults={"put": Throttled("no")})
        assert set(outcomes(run(stores, max_workers=2)).values()) == {"error"}
        assert stores.intents  # for the next run

    def test_where_no_lookup_is_taken_for_long_nobody_else_asks(self, monkeypatch):
        monkeypatch.setattr("spot_runner_provider.batch.pace.LONGEST", 0.001)
        monkeypatch.setattr("spot_runner_provider.batch.pace.PATIENCE", 0.2)
        stores = memory(presets(12), faults={"latest_image": Throttled("no")})
        found = run(stores)
        assert set(outcomes(found).values()) == {"error"}
        assert set(stores.requested("latest_image")) == {("p00",)}
        assert "Image Builder has throttled every listing" in found[-1].detail

    def test_a_long_time_without_a_put_is_no_reason_to_give_up(self, monkeypatch):
        monkeypatch.setattr("spot_runner_provider.batch.pace.PATIENCE", 0.05)
        stores = self.Throttling(memory(presets(BUNDLE + 1)).records, numbers={"put": range(1)})
        monkeypatch.setattr(
            stores, "find_pipelines", lambda names: time.sleep(0.1) or Memory.find_pipelines(stores, names)
        )
        assert set(outcomes(run(stores)).values()) == {"corrected_ready"}

    def test_a_parameter_that_is_busy_for_ever_keeps_no_other_one(self):
        stores = memory(presets(12), faults={("put", "p03"): Busy("no")})
        found = outcomes(run(stores, max_workers=2))
        assert [name for name, outcome in found.items() if outcome != "corrected_ready"] == ["p03"]
        assert found["p03"] == "error"

    def test_finishing_reads_the_record_when_it_is_its_turn(self, monkeypatch):
        monkeypatch.setattr("spot_runner_provider.batch.pace.LONGEST", 0.001)
        stores = self.Throttling(memory(presets(2)).records, numbers={"put": range(1)})
        ready = AmiState("p01", Status.READY, "2026-02-11T15:00:00.000Z", "ami-0new")
        stores.records["p01"] = ready
        intent = Intent.of("p01", owner="dead", at=NOW, param_version=1, ami_id="ami-0new", build_id="arn")
        found = outcomes(run(stores, [Candidate("p00", stores.records["p00"]), Candidate("p01", ready, (intent,))]))
        assert found == {"p00": "corrected_ready", "p01": "finished"}
        requests = [name for name, presets in stores.requests if presets == ("p01",)]
        put = requests.index("put")
        assert "history" in requests[requests.index("read_states") : put]
