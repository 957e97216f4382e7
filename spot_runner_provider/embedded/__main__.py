"""``python -m spot_runner_provider.embedded``: an embedded AWS in a process of its own."""

import argparse
import errno
import json
import shlex
import signal
import sys
import threading
from collections.abc import Sequence

try:
    from spot_runner_provider.embedded.control import ControlClient
    from spot_runner_provider.embedded.demo.deployment import seed_demo
    from spot_runner_provider.embedded.demo.seed import TABLE, create_table
    from spot_runner_provider.embedded.server import EmbeddedAws
except ModuleNotFoundError as missing:
    sys.exit(f"{missing.name} is missing: pip install airflow-provider-spot-runner[embedded]")


def main(argv: Sequence[str] | None = None) -> None:
    """Start and seed an embedded AWS, print how Airflow finds it, and serve until SIGINT or SIGTERM.

    :param argv: the arguments after the command; the process's own when omitted
    :raises SystemExit: with a remedy, if the port is taken

    >>> main(["--help"])
    Traceback (most recent call last):
        ...
    SystemExit: 0
    """
    arguments = _parser().parse_args(argv)
    stop = threading.Event()
    try:
        with EmbeddedAws(arguments.port, arguments.region, upstream=arguments.upstream) as aws:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: stop.set())
            if arguments.seed == "demo":
                seed_demo(aws, arguments.table)
            else:
                create_table(aws.client("dynamodb", bystander=True), arguments.table)
            print(f"Embedded AWS ready at {aws.endpoint_url}, seed {arguments.seed}.")
            print(f"export AIRFLOW_CONN_AWS_DEFAULT={shlex.quote(airflow_connection(aws))}")
            print(f"export AIRFLOW__SPOT_RUNNER__TABLE_NAME={shlex.quote(arguments.table)}", flush=True)
            stop.wait()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        sys.exit(f"Port {arguments.port} is taken: choose another one, or --port 0 for any free one.")


def airflow_connection(aws: EmbeddedAws | ControlClient) -> str:
    """Return an Airflow connection to ``aws``, as JSON, for the Amazon provider's hooks.

    >>> with EmbeddedAws() as aws:
    ...     json.loads(airflow_connection(aws))["extra"]["region_name"]
    'us-east-1'
    """
    return json.dumps(
        {
            "conn_type": "aws",
            "login": "testing",
            "password": "testing",
            "extra": {
                "region_name": aws.region,
                "endpoint_url": aws.endpoint_url,
                "service_config": {"sts": {"endpoint_url": aws.endpoint_url}},
            },
        }
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m spot_runner_provider.embedded", description=__doc__)
    parser.add_argument("--port", type=int, default=5555, help="0 for any free one (%(default)s)")
    parser.add_argument("--seed", choices=["demo", "empty"], default="demo", help="%(default)s")
    parser.add_argument("--region", default="us-east-1", help="%(default)s")
    parser.add_argument("--table", default=TABLE, help="%(default)s")
    parser.add_argument("--upstream", metavar="URL", help="another emulator, for DynamoDB and SSM (moto)")
    return parser


if __name__ == "__main__":
    main()
