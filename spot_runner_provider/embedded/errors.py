"""AWS errors in the wire format of the service that was called."""

import json
import threading
from functools import lru_cache
from uuid import uuid4

from botocore.session import get_session
from werkzeug.wrappers import Response

from spot_runner_provider.embedded.call import ApiCall

THROTTLED = {"imagebuilder": "CallRateLimitExceededException"}
"""The error of a call that came too fast, where it is not ``ThrottlingException``."""

HTTP_ERRORS = {
    "500": {"imagebuilder": "ServiceException", "": "InternalServerError"},
    "503": {"imagebuilder": "ServiceUnavailableException", "": "ServiceUnavailable"},
}
"""The error code that goes with a server's HTTP status, for some services and ("") for the others."""

CONTENT_TYPES = {
    "dynamodb": "application/x-amz-json-1.0",
    "ssm": "application/x-amz-json-1.1",
    "imagebuilder": "application/json",
}


def error_reply(call: ApiCall, code: str, message: str) -> Response:
    """Answer ``call`` with an error, its HTTP status taken from botocore's model of the service.

    :param code: such as ``AccessDeniedException``, or ``500`` or ``503`` for the service's own word

    >>> reply = error_reply(ApiCall("imagebuilder.GetImage", {}, (), "us-east-1"), "503", "Try again")
    >>> reply.status_code, reply.headers["x-amzn-ErrorType"]
    (503, 'ServiceUnavailableException')
    """
    service = call.service
    if code in HTTP_ERRORS:
        status, code = int(code), HTTP_ERRORS[code].get(service, HTTP_ERRORS[code][""])
    else:
        with _loading:
            status = _status(service, code)
    headers = {"x-amzn-RequestId": str(uuid4()), "x-amzn-ErrorType": code}
    if service in CONTENT_TYPES:
        body = json.dumps({"__type": code, "message": message})
        return Response(body, status, headers, content_type=CONTENT_TYPES[service])
    body = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    return Response(body, status, headers, content_type="text/xml")


def throttled_reply(call: ApiCall) -> Response:
    """Answer ``call`` with the throttling error of its service.

    >>> reply = throttled_reply(ApiCall("imagebuilder.GetImage", {}, (), "us-east-1"))
    >>> reply.status_code, reply.headers["x-amzn-ErrorType"]
    (429, 'CallRateLimitExceededException')
    """
    return error_reply(call, THROTTLED.get(call.service, "ThrottlingException"), "Rate exceeded")


_loading = threading.Lock()
"""Held so that many first errors at once read a service's model once, and not each for itself."""


@lru_cache
def _status(service: str, code: str) -> int:
    if service == "imagebuilder" and code == "AccessDeniedException":
        return 403
    shapes = get_session().get_service_model(service).error_shapes
    shape = next((shape for shape in shapes if shape.name == code), None)
    if shape is None:
        return 400
    unless_modelled = 500 if code.startswith("Internal") else 400
    return int(shape.metadata.get("error", {}).get("httpStatusCode", unless_modelled))
