from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import conf

from spot_runner_provider import get_provider_info
from spot_runner_provider.settings import InvalidSetting, Settings


@pytest.fixture
def read(monkeypatch):
    """Return a function that reads the settings, as environment variables give them."""

    def given(**settings: str) -> Settings:
        for name, value in settings.items():
            monkeypatch.setenv(f"AIRFLOW__SPOT_RUNNER__{name.upper()}", value)
        return Settings.read()

    return given


def test_the_defaults(read):
    assert read() == Settings(
        table_name=None,
        config_prefix="/spot-runner/configs",
        pipeline_name="spot-runner-{preset}",
        aws_conn_id="aws_default",
        region_name=None,
        stale_after_minutes=30.0,
        stuck_after_minutes=360.0,
        schedule="*/15 * * * *",
        max_mapped_tasks=8,
        audit=False,
        dry_run=False,
    )


@pytest.mark.parametrize("name", get_provider_info()["config"]["spot_runner"]["options"])
def test_each_example_of_the_metadata_is_taken(read, name):
    example = get_provider_info()["config"]["spot_runner"]["options"][name]["example"]
    assert str(getattr(read(**{name: example}), name)).removesuffix(".0") == example


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("schedule", "", None),
        ("schedule", "  ", None),
        ("schedule", "@once", "@once"),
        ("schedule", "@continuous", "@continuous"),
        ("schedule", "@daily", "@daily"),
        ("schedule", "0 */2 * * MON-FRI", "0 */2 * * MON-FRI"),
        ("stale_after_minutes", "0", 0.0),
        ("stale_after_minutes", "0.5", 0.5),
        ("stuck_after_minutes", "0", 0.0),
        ("stuck_after_minutes", "90", 90.0),
        ("table_name", "", None),
        ("table_name", "2024", "2024"),
        ("max_mapped_tasks", "1024", 1024),
        ("dry_run", "1", True),
        ("dry_run", "TRUE", True),
        ("audit", "f", False),
        ("region_name", "", None),
        ("region_name", "eu-central-1", "eu-central-1"),
        ("aws_conn_id", "", None),
        ("aws_conn_id", "None", "None"),
        ("schedule", "@midnight", "@midnight"),
        ("schedule", "0 0 29 2 *", "0 0 29 2 *"),
        ("schedule", "0 0 * * FRI", "0 0 * * FRI"),
        ("config_prefix", "/", "/"),
        ("pipeline_name", "a-{preset},\nb-{preset}", "a-{preset}, b-{preset}"),
    ],
)
def test_what_a_setting_means(read, name, value, meant):
    assert getattr(read(**{name: value}), name) == meant


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("max_mapped_tasks", value) for value in ("1_0", "\u0668")],
        *[
            ("stale_after_minutes", value)
            for value in ("1_000", "\u0663\u0660", "-5", "nan", "inf", "-inf", "1e300", "soon", "", "None", "30m")
        ],
        *[
            ("schedule", value)
            for value in (
                *("None", "none", "null", "@dayly", "61 * * * *", "every day", "* * * *", "15"),
                *("0 0 30 2 *", "0 0 31 4,6 *", "R * * * *", "R(0-29) * * * *", "* r/2 * * *", "H * * * *"),
                *("0 0 * * * 30", "0 0 * * * 0 2099", "@daily @hourly"),
            )
        ],
        *[("max_mapped_tasks", value) for value in ("0", "-1", "1.5", "many", "", "nan", "2000")],
        *[("config_prefix", value) for value in ("spot-runner", "/a b", "/a//b", "/aws/x", "None", "")],
        *[("pipeline_name", value) for value in ("spot-runner", " {preset}", "{preset} ", "x*{preset}", "None", "")],
        *[("pipeline_name", value) for value in ("{preset}-a, b", "{preset}-a,", ",{preset}-a", "['{preset}-a']")],
        *[("table_name", value) for value in ("a b", "ab", "arn:aws:dynamodb:us-east-1:123456789012:table/x", " ")],
        *[("dry_run", value) for value in ("yes", "", "None", "dry", "2")],
        *[("audit", value) for value in ("on!", "")],
    ],
)
def test_nonsense_is_refused_by_the_name_of_its_setting(read, name, value):
    with pytest.raises(InvalidSetting, match=rf"^\[spot_runner\] {name} is "):
        read(**{name: value})


@pytest.mark.parametrize("value", ["None", "us-east-1a", "2024", " ", "US-EAST-1", "us east 1"])
def test_a_region_that_is_none_is_refused(read, value):
    with pytest.raises(InvalidSetting, match=r"^\[spot_runner\] region_name .*(write )"):
        read(region_name=value)


def test_more_tasks_than_airflow_maps_are_refused(read, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "10")
    with pytest.raises(InvalidSetting, match=r"max_mapped_tasks is 11, and \[core\] max_map_length allows 10$"):
        read(max_mapped_tasks="11")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("dry_run_cmd", "dry_run"),
        ("dry_run_secret", "dry_run"),
        ("table_name_cmd", "table_name"),
        ("dryrun", "dry_run"),
        ("dry_runs", "dry_run"),
        ("presets", None),
        ("stale_after", "stale_a"),
    ],
)
def test_a_setting_that_nothing_reads_is_refused(read, typed, meant):
    with pytest.raises(InvalidSetting, match=rf"has no setting '{typed}'.*{meant or 'there are'}"):
        read(**{typed: "True"})


@pytest.mark.parametrize(
    "name",
    [
        "AIRFLOW__SPOT_RUNNER_DRY_RUN",
        "AIRFLOW_SPOT_RUNNER__DRY_RUN",
        "AIRFLOW__SPOTRUNNER__DRY_RUN",
        "AIRFLOW__SPOT_RUNNER__DRYRUN",
        "airflow__spot_runner__dry_run",
    ],
)
def test_a_variable_that_airflow_does_not_read_is_refused(read, monkeypatch, name):
    monkeypatch.setenv(name, "True")
    with pytest.raises(InvalidSetting, match=r"^\[spot_runner\] .*(AIRFLOW__SPOT_RUNNER__DRY_RUN|mean 'dry_run')"):
        read()


def test_variables_of_others_are_nobodys_business(read, monkeypatch):
    monkeypatch.setenv("AIRFLOW_SPOT_RUNNER_TEAM", "a")
    monkeypatch.setenv("SPOT_RUNNER_DRY_RUN", "True")
    assert not read().dry_run


@pytest.mark.parametrize("section", ["spot-runner", "spotrunner", "Spot_Runner"])
def test_a_section_that_nothing_reads_is_refused(read, section):
    conf.add_section(section)
    try:
        with pytest.raises(InvalidSetting, match=rf"is read, and not \[{section}\]"):
            read()
    finally:
        conf.remove_section(section)


def test_a_key_in_the_file_that_nothing_reads_is_refused(read):
    conf.read_dict({"spot_runner": {"dryrun": "True"}})
    try:
        with pytest.raises(InvalidSetting, match="has no setting 'dryrun'; did you mean 'dry_run'"):
            read()
    finally:
        conf.remove_section("spot_runner")
