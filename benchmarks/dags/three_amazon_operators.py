"""What importing a DAG file is compared with: three operators of the Amazon provider."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.amazon.aws.operators.ec2 import EC2StartInstanceOperator
from airflow.providers.amazon.aws.operators.s3 import S3ListOperator
from airflow.providers.amazon.aws.operators.sqs import SqsPublishOperator
from airflow.providers.common.compat.sdk import DAG

with DAG(dag_id="three_amazon_operators", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
    (
        S3ListOperator(task_id="list", bucket="bucket")
        >> EC2StartInstanceOperator(task_id="start", instance_id="i-0")
        >> SqsPublishOperator(task_id="publish", sqs_queue="queue", message_content="started")
    )
