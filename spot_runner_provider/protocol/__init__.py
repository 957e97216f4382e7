"""The write protocol for one preset: it does no I/O, and knows neither Airflow nor AWS's libraries."""
