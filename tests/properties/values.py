"""Whatever the three stores could hold, and Image Builder answer: any shape, any value."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from spot_runner_provider.records.image import GIVEN_UP, IN_PROGRESS

texts = st.one_of(
    st.text(max_size=40),
    st.text(alphabet=st.characters(), max_size=12),
    st.text(min_size=1, max_size=3).map(lambda text: text * 2000),
    st.sampled_from(
        [
            "",
            " ",
            "AMI",
            "AMI#",
            "ami-0a1d",
            "building",
            "ready",
            "failed",
            "../x",
            "{{ 1 }}",
            "\x00",
            "\ud800",
            "a\x00b\udfff",
        ]
    ),
)

names = st.from_regex(r"[A-Za-z0-9_-]{1,116}", fullmatch=True)

timestamps = st.one_of(
    st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.isoformat().replace("+00:00", "Z")),
    st.datetimes().map(datetime.isoformat),
    st.sampled_from(
        [
            "0001-01-01T00:00:00.000Z",
            "0001-01-01T00:00:00+23:59",
            "1969-12-31T23:59:59.999Z",
            "9999-12-31T23:59:59.999Z",
            "9999-12-31T23:59:59-23:59",
            "+010000-01-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-02-11T15:35:48." + "1" * 500 + "Z",
        ]
    ),
)

numbers = st.one_of(
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False).map(Decimal),
    st.sampled_from([Decimal("1E+125"), Decimal("-1E-130"), Decimal("1E+40"), 0, 1, 1 << 70]),
)

scalars = st.one_of(st.none(), st.booleans(), numbers, texts, st.binary(max_size=20), timestamps)

anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4), st.sets(texts, max_size=3)
    ),
    max_leaves=8,
)
"""Any value of a DynamoDB item, as boto3 hands it over."""

json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)

statuses = st.sampled_from(["building", "ready", "failed"])


def mostly(likely: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Return values that are right two times out of three, and anything otherwise."""
    return st.one_of(likely, likely, anything)


def structure(**members: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """A structure of the Image Builder API of which any member may be absent, or anything else."""
    return st.fixed_dictionaries({}, optional={name: mostly(value) for name, value in members.items()})


image_states = st.one_of(st.sampled_from([*sorted(IN_PROGRESS), *sorted(GIVEN_UP), "AVAILABLE", "DELETED"]), texts)

amis = structure(
    region=st.one_of(st.just("us-east-1"), texts),
    image=st.one_of(st.just("ami-0e3f"), st.just("ami-0a1d"), texts),
    accountId=st.one_of(st.just("123456789012"), texts),
    state=structure(status=image_states),
)

failures = structure(
    imageStatus=image_states,
    failedStep=texts,
    componentFailure=structure(componentArn=texts, phaseName=texts, stepName=texts, errorMessage=texts),
    distributionFailure=structure(errorMessage=texts),
)

images = structure(
    arn=texts,
    dateCreated=timestamps,
    state=structure(status=image_states, reason=texts, failureContext=failures),
    outputResources=structure(amis=st.lists(mostly(amis), max_size=4)),
    loggingConfiguration=structure(logGroupName=texts),
)
"""An ``Image``, or an ``ImageSummary``."""


def through_xcom(value: Any) -> Any:
    """Return ``value`` as it comes out of XCom again; what PostgreSQL's JSON does not take does not come so far."""
    text = json.dumps(value, ensure_ascii=False)
    assert "\\u0000" not in text.encode().decode().replace("\\\\", "")
    return json.loads(text)
