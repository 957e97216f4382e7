"""The plugin, as every process of Airflow loads it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from airflow import __version__, plugins_manager

IS_3 = not __version__.startswith("2.")


@pytest.fixture
def plugin():
    (entry_point,) = (each for each in entry_points(group="airflow.plugins") if each.name == "spot_runner")
    return entry_point.load()()


def test_airflow_loads_it_without_an_error():
    plugins_manager.ensure_plugins_loaded()
    manager = plugins_manager
    plugins, errors = manager._get_plugins() if IS_3 else (manager.plugins, manager.import_errors)
    assert "spot_runner" in {each.name for each in plugins}
    assert errors == {}


def test_only_airflow_3_has_a_page(plugin):
    assert len(plugin.fastapi_apps) == len(plugin.external_views) == (1 if IS_3 else 0)


def test_what_every_process_loads_does_not_load_fastapi():
    code = (
        "import sys, spot_runner_provider.status.plugin as plugin; plugin.SpotRunnerPlugin();"
        "sys.stdout.write(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert "spot_runner_provider.status.plugin" in modules
    assert not {"spot_runner_provider.status.api", "spot_runner_provider.status.store"} & modules
    assert "fastapi" not in modules
