"""The write protocol for one preset. It does no I/O, and uses neither Airflow nor AWS's libraries."""
