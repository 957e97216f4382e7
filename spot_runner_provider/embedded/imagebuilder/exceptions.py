"""Errors that Image Builder answers with; their HTTP status is in botocore's model."""

from moto.core.exceptions import ServiceException


class InvalidRequest(ServiceException):
    """A request that the service understands and refuses (HTTP 400)."""

    code = "InvalidRequestException"


class InvalidPaginationToken(ServiceException):
    """A ``nextToken`` that this listing did not hand out (HTTP 400)."""

    code = "InvalidPaginationTokenException"
    message = "The provided pagination token is invalid."


class ResourceNotFound(ServiceException):
    """No such pipeline or image (HTTP 404)."""

    code = "ResourceNotFoundException"

    def __init__(self, arn: str) -> None:
        super().__init__(f"The resource with ARN '{arn}' does not exist.")


class ResourceAlreadyExists(ServiceException):
    """A pipeline of that name exists (HTTP 400)."""

    code = "ResourceAlreadyExistsException"

    def __init__(self, arn: str) -> None:
        super().__init__(f"The resource with ARN '{arn}' already exists.")
