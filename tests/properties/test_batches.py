"""Whatever one preset meets, the one beside it is corrected: no batch ever dies of one record."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta

from hypothesis import assume, event, given
from hypothesis import strategies as st

from spot_runner_provider.batch.batch import Batch
from spot_runner_provider.detection.survey import survey
from spot_runner_provider.protocol.candidate import Candidate, Run
from spot_runner_provider.protocol.outcome import Outcome
from spot_runner_provider.records.parameter import ConfigVersion
from spot_runner_provider.reporting.report import report
from tests.properties.stores import Memory
from tests.properties.values import (
    anything,
    images,
    json_values,
    mostly,
    names,
    statuses,
    texts,
    through_xcom,
    timestamps,
)

NOW = datetime(2026, 2, 11, 16, 0, tzinfo=UTC)
STALE = "2026-02-11T15:00:00.000Z"
PIPELINE = "arn:aws:imagebuilder:us-east-1:123456789012:image-pipeline/spot-runner-"
SOUND = {
    "arn": "arn:aws:imagebuilder:us-east-1:123456789012:image/sound/1.0.0/7",
    "dateCreated": "2026-02-11T15:30:00.000Z",
    "state": {"status": "AVAILABLE"},
    "outputResources": {"amis": [{"region": "us-east-1", "image": "ami-0e3f"}]},
}
FAILED = SOUND | {"state": {"status": "FAILED", "reason": "\ud800"}, "dateCreated": "2026-02-11T15:40:00.000Z"}


def item(name: str, **attributes: object) -> dict[str, object]:
    return {"jobId": f"AMI#{name}", "presetName": name, "status": "building", "updatedAt": STALE} | attributes


moments = st.one_of(st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat), timestamps)

records = st.fixed_dictionaries(
    {},
    optional={
        "updatedAt": moments,
        "status": st.one_of(st.just("building"), statuses),
        "amiId": st.one_of(st.none(), texts),
        "buildId": anything,
        "errorMessage": anything,
        "reconciledBy": st.one_of(anything, st.just("dag/run")),
    },
)

intents = st.fixed_dictionaries(
    {"updatedAt": moments, "paramVersion": st.integers(1, 4)}, optional={"amiId": anything, "buildId": anything}
)

objects = st.dictionaries(st.sampled_from(["ami", "timeout", "labels"]), json_values, max_size=3).map(json.dumps)
parameters = st.one_of(
    st.lists(st.one_of(objects, texts, json_values.map(json.dumps)), max_size=3),
    st.lists(objects, min_size=1, max_size=3),
)

answers = st.one_of(
    st.lists(st.sampled_from([SOUND, FAILED, SOUND | {"state": {"status": "TESTING"}}]), min_size=1, max_size=2),
    images.map(lambda image: [SOUND | image]),
    st.lists(mostly(images), min_size=1, max_size=3),
    anything,
)


pipelines = mostly(st.just(PIPELINE + "odd"))


@given(
    names,
    records,
    st.lists(intents, max_size=2),
    parameters,
    pipelines,
    st.lists(anything, max_size=1),
    answers,
    mostly(images),
    st.booleans(),
)
def test_the_preset_beside_an_odd_one_is_corrected(
    name, record, standing, parameter, pipeline, others, listed, image, dry_run
):
    assume(name != "sound")
    stores = Memory(
        records={"sound": item("sound"), name: item(name, **record)},
        configs={
            "sound": [ConfigVersion(1, '{"ami": "ami-0a1d"}')],
            name: [ConfigVersion(number, text) for number, text in enumerate(parameter, 1)],
        },
        pipelines=[
            *others,
            {"name": "spot-runner-sound", "arn": PIPELINE + "sound"},
            {"name": f"spot-runner-{name}", "arn": pipeline},
        ],
        listed=defaultdict(lambda: listed, {PIPELINE + "sound": [SOUND]}),
        images=defaultdict(lambda: image),
    )
    unfinished = [
        {"jobId": f"AMI-INTENT#{name}#dag/before/{number}", "presetName": name} | intent
        for number, intent in enumerate(standing)
    ]
    found = survey((), unfinished, now=NOW, stale_after=timedelta(minutes=30), named=stores.records)
    batch = [through_xcom(candidate.to_json()) for candidate in found.candidates]

    run = Run("dag/run", "reconcile/0/1", "us-east-1", clock=lambda: NOW, dry_run=dry_run)
    told = []
    results = Batch(stores, run, max_workers=1, on_result=told.append).reconcile(list(map(Candidate.from_json, batch)))

    by_name = {result.preset_name: through_xcom(result.to_json()) for result in results}
    assert by_name.keys() == {candidate["presetName"] for candidate in batch} == {each.preset_name for each in told}
    assert by_name["sound"]["outcome"] == "corrected_ready"
    assert stores.ami("sound") == ("ami-0a1d" if dry_run else "ami-0e3f")
    for result in by_name.values():
        assert result["outcome"] in list(Outcome)
        assert result["detail"] or result["outcome"] == "corrected_ready"
    event(by_name[name]["outcome"] if name in by_name else "not to reconcile")
    if name in by_name and by_name[name]["outcome"] == "corrected_ready" and not dry_run:
        assert stores.ami(name) == by_name[name]["amiId"]
    through_xcom(report(through_xcom(found.to_json()), [batch], list(by_name.values())).value)
