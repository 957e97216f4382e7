"""The status page inside Airflow, and the endpoint behind it."""
