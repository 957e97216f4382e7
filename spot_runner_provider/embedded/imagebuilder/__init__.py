"""EC2 Image Builder for moto, which has none: laid out as moto lays out its own services."""

import re
import sys

import moto.backend_index

from spot_runner_provider.embedded.imagebuilder import models, responses, urls
from spot_runner_provider.embedded.imagebuilder.models import imagebuilder_backends

__all__ = ["imagebuilder_backends", "register"]


def register() -> None:
    """Make this backend known to moto as ``moto.imagebuilder``.

    Call it before ``mock_aws`` or a server starts; calling it again does nothing.

    >>> register()
    >>> from moto import mock_aws
    >>> with mock_aws():
    ...     imagebuilder_backends["123456789012"]["us-east-1"].list_pipelines([], None, None)
    ([], None)
    """
    sys.modules["moto.imagebuilder"] = sys.modules[__name__]
    for module in (models, responses, urls):
        sys.modules[f"moto.imagebuilder.{module.__name__.rpartition('.')[2]}"] = module
    patterns = moto.backend_index.backend_url_patterns
    if all(service != "imagebuilder" for service, _ in patterns):
        patterns.extend(("imagebuilder", re.compile(base)) for base in urls.url_bases)
