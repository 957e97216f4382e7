"""The command line ``airflow spot-runner``, for the person who is on call."""
