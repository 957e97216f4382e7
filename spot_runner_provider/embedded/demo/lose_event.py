"""``python -m spot_runner_provider.embedded.demo.lose_event ADDRESS PRESET``: make a preset stale again.

For watching: a build succeeds, and Image Builder's event about it gets lost.
"""

import argparse
import secrets
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.error import HTTPError

from botocore.exceptions import BotoCoreError

from spot_runner_provider.embedded.control import ControlClient
from spot_runner_provider.embedded.demo.seed import PIPELINE_PREFIX, TABLE, to_attributes
from spot_runner_provider.embedded.imagebuilder.models import Ami, timestamp
from spot_runner_provider.embedded.server import EmbeddedAws

AGE = timedelta(hours=1)
"""How long the record has been building; by default, more than half an hour is stale."""


def main(argv: Sequence[str] | None = None) -> None:
    """Lose the event, and print the state of the record and of Image Builder.

    >>> main([aws.endpoint_url, "linux-x64"])
    linux-x64 is stale: its record says building for an hour, and Image Builder has ami-...
    """
    arguments = _parser().parse_args(argv)
    aws = ControlClient(arguments.address, arguments.region)
    try:
        ami = lose_event(aws, arguments.preset, arguments.table)
    except LookupError as error:
        sys.exit(str(error.args[0]))
    except (OSError, BotoCoreError) as error:
        sys.exit(f"The embedded AWS at {arguments.address} does not answer: {error}")
    print(f"{arguments.preset} is stale: its record says building for an hour, and Image Builder has {ami}.")


def lose_event(aws: ControlClient, preset: str, table: str = TABLE) -> str:
    """Add an AVAILABLE image to the preset's pipeline, set its record to building, and return the new AMI.

    :raises LookupError: if the preset has no record or no pipeline; nothing was changed then

    >>> lose_event(ControlClient(aws.endpoint_url, aws.region), "linux-x64")[:4]
    'ami-'
    """
    dynamodb = aws.client("dynamodb", bystander=True)
    key = to_attributes({"jobId": f"AMI#{preset}"})
    if "Item" not in dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True):
        raise LookupError(f"Table {table} has no record of {preset}.")
    ami = f"ami-{secrets.token_hex(9)[:17]}"
    try:
        aws.add_image(PIPELINE_PREFIX + preset, status="AVAILABLE", amis=[Ami(aws.region, ami, EmbeddedAws.account)])
    except HTTPError as error:
        raise LookupError(f"There is no pipeline {PIPELINE_PREFIX}{preset}.") from error
    dynamodb.update_item(
        TableName=table,
        Key=key,
        UpdateExpression="SET #status = :building, updatedAt = :then REMOVE errorMessage",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues=to_attributes({":building": "building", ":then": timestamp(datetime.now(UTC) - AGE)}),
    )
    return ami


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m spot_runner_provider.embedded.demo.lose_event", description=__doc__
    )
    parser.add_argument("address", metavar="ADDRESS", help="of the embedded AWS, such as http://127.0.0.1:5555")
    parser.add_argument("preset", metavar="PRESET")
    parser.add_argument("--region", default="us-east-1", help="%(default)s")
    parser.add_argument("--table", default=TABLE, help="%(default)s")
    return parser


if __name__ == "__main__":
    main()
