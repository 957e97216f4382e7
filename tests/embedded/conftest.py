from collections.abc import Iterator

import pytest
from botocore.config import Config

from spot_runner_provider.embedded.demo.seed import create_table
from spot_runner_provider.embedded.server import EmbeddedAws

ONCE = Config(retries={"total_max_attempts": 1}, max_pool_connections=16)


@pytest.fixture
def aws() -> Iterator[EmbeddedAws]:
    """An embedded AWS with an empty state table."""
    with EmbeddedAws() as aws:
        create_table(aws.client("dynamodb", bystander=True))
        yield aws
