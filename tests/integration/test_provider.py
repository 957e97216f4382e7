"""What Airflow sees of the installed provider."""

from __future__ import annotations

import re
from importlib.metadata import distribution, entry_points
from importlib.resources import files
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import conf
from airflow.providers_manager import ProvidersManager

from spot_runner_provider import SETTINGS, __version__, get_provider_info

NAME = "airflow-provider-spot-runner"
README = Path(__file__).parents[2] / "README.md"

DEFAULTS = {setting.name: str(setting.default) for setting in SETTINGS if setting.default is not None}


def test_airflow_discovers_it():
    manager = ProvidersManager()
    manager.initialize_providers_list()
    assert manager.providers[NAME].version == __version__ == distribution(NAME).version
    (entry_point,) = (each for each in entry_points(group="apache_airflow_provider") if each.dist.name == NAME)
    assert entry_point.load() is get_provider_info


@pytest.mark.parametrize(("option", "default"), DEFAULTS.items())
def test_each_setting_has_its_default(option, default):
    ProvidersManager().initialize_providers_configuration()
    assert conf.get("spot_runner", option) == default


def test_a_name_in_braces_survives_in_a_users_own_setting(monkeypatch):
    monkeypatch.setenv("AIRFLOW__SPOT_RUNNER__PIPELINE_NAME", "spot-runner-{preset}-windows")
    ProvidersManager().initialize_providers_configuration()
    assert conf.get("spot_runner", "pipeline_name") == "spot-runner-{preset}-windows"


def test_the_table_has_no_default():
    assert conf.get("spot_runner", "table_name", fallback="none") in ("none", None)


def test_every_setting_is_described():
    options = get_provider_info()["config"]["spot_runner"]["options"]
    assert options.keys() == {"table_name", *DEFAULTS}
    for option in options.values():
        assert set(option) - {"is_template"} == {"description", "version_added", "type", "example", "default"}
        assert option["description"].endswith(".")


def test_airflow_knows_its_links():
    manager = ProvidersManager()
    manager.initialize_providers_extra_links()
    ours = {link for link in manager.extra_links_class_names if link.startswith("spot_runner_provider.")}
    assert ours == set(get_provider_info()["extra-links"])
    assert ours


def test_it_is_typed_and_needs_only_airflow_and_amazon():
    assert files("spot_runner_provider").joinpath("py.typed").is_file()
    needed = {re.match(r"[a-z-]+", each)[0] for each in distribution(NAME).requires if "extra ==" not in each}
    assert needed == {"apache-airflow", "apache-airflow-providers-amazon"}
