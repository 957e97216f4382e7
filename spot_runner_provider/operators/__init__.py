"""Operators: detect, reconcile, report.

In the examples, ``context`` is what Airflow passes to a task, and the deployment is that of the hooks' examples.
"""
