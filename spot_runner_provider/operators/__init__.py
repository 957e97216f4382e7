"""Operators: detect, reconcile, report.

In the examples ``context`` is what Airflow hands a task, and the deployment is that of the hooks' examples.
"""
