"""boto3 clients of an embedded AWS, in this process or in another one."""

from functools import cache
from typing import Any

from boto3.session import Session
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.session import Session as CoreSession

from spot_runner_provider.embedded.call import BYSTANDER_HEADER


def make_client(endpoint_url: str, region: str, service: str, config: Config | None, *, bystander: bool) -> Any:
    """Return a boto3 client, with dummy credentials and without proxies.

    :param endpoint_url: where the embedded AWS is
    :param region: the AWS region, such as ``us-east-1``
    :param service: as boto3 names it, such as ``ssm``
    :param config: botocore's, such as one that repeats nothing; proxies are always left out
    :param bystander: for seeds, checks and anybody else but the code under test: its calls are neither counted nor
        delayed, throttled or disturbed, so they are hardly repeated: an AWS that is gone is known at once

    >>> once = Config(retries={"total_max_attempts": 1})
    >>> client = make_client(aws.endpoint_url, "eu-central-1", "dynamodb", once, bystander=True)
    >>> client.list_tables()["TableNames"], aws.calls()
    ([], {})
    """
    direct = Config(proxies={}, retries={"total_max_attempts": 2} if bystander else None)
    client = _session().client(
        service,  # type: ignore[call-overload]
        region_name=region,
        endpoint_url=endpoint_url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=direct.merge(config) if config else direct,
    )
    if bystander:
        client.meta.events.register("before-sign", _mark_as_bystander)
    return client


@cache
def _session() -> Session:
    """Keep what botocore reads from disk: a new session would cost each embedded AWS half a second."""
    return Session(botocore_session=CoreSession())


def _mark_as_bystander(request: AWSRequest, **_: object) -> None:
    request.headers[BYSTANDER_HEADER] = "1"
