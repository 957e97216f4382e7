"""The DAG as it is where ``[spot_runner] table_name`` is not set, under a name of its own."""

import os
from pathlib import Path

SOURCE = Path(__file__).parents[3] / "dags" / "spot_runner_reconcile.py"

os.environ.pop("AIRFLOW__SPOT_RUNNER__TABLE_NAME", None)  # of this process alone, which reads no other DAG
exec(SOURCE.read_text().replace('dag_id="spot_runner_reconcile"', 'dag_id="without_table"'))
