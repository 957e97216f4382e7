"""Let a nested transaction of Airflow wait for SQLite's lock from its beginning on.

``airflow backfill create`` reads in one before it writes. SQLite refuses that write at once, without waiting, if
another process is about to commit, because waiting for each other would never end.
"""

from sqlalchemy import Connection, Engine, event


@event.listens_for(Engine, "savepoint")
def lock(connection: Connection, _: str) -> None:
    if not connection.connection.driver_connection.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
