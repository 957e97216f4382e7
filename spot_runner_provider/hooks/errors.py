"""What an error of AWS, or on the way to AWS, means: whether it passes, and whether the call may have been applied.

This is the only table of error codes. A test compares it with botocore's models of the services that are called.
What a person must do is in :mod:`spot_runner_provider.hooks.explanation`.
"""

from __future__ import annotations

import errno
import os
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.exceptions import ClientError


class ErrorKind(StrEnum):
    """What the error of a call means.

    >>> ErrorKind.NO_ACCESS.is_for_good, ErrorKind.PASSING.is_for_good
    (True, False)
    """

    ANSWER = "answer"
    """Not applied; the caller takes it as an answer, not as trouble."""
    PASSING = "passing"
    """Not applied; it passes by itself."""
    AMBIGUOUS = "ambiguous"
    """It passes by itself; it is unknown whether the call was applied."""
    NO_ACCESS = "no_access"
    """Not applied: a person must allow it."""
    BAD_CREDENTIALS = "bad_credentials"
    """Not applied: a person must correct or renew the credentials, or the worker's clock."""
    BAD_SETTING = "bad_setting"
    """Not sent: a person must correct a setting of the connection, of the worker, or of botocore."""
    REFUSED = "refused"
    """Not applied: a person must change the resource, or raise its limit."""

    @property
    def is_for_good(self) -> bool:
        """Whether repeating the call is useless until a person fixes something."""
        return self in _FOR_GOOD


_FOR_GOOD = frozenset({ErrorKind.NO_ACCESS, ErrorKind.BAD_CREDENTIALS, ErrorKind.BAD_SETTING, ErrorKind.REFUSED})

STALE_TOKENS = frozenset({"InvalidNextToken", "InvalidPaginationTokenException"})
"""Codes that pass if the listing starts again, but not if the same call is repeated."""

_SORTED: dict[ErrorKind, frozenset[str]] = {
    ErrorKind.ANSWER: frozenset({"ConditionalCheckFailedException", "ParameterNotFound", "ParameterVersionNotFound"}),
    ErrorKind.PASSING: STALE_TOKENS
    | {
        "AuthorizationPendingException",
        "BandwidthLimitExceeded",
        "CallRateLimitExceededException",
        "EC2ThrottledException",
        "IDPCommunicationError",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ResourceInUseException",
        "SlowDown",
        "SlowDownException",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsError",
        "TooManyRequestsException",
        "TooManyUpdates",
        "TransactionConflictException",
        "TransactionInProgressException",
    },
    ErrorKind.AMBIGUOUS: frozenset(
        {
            "InternalError",
            "InternalFailure",
            "InternalServerError",
            "InternalServerException",
            "RequestAbortedException",
            "RequestTimeout",
            "RequestTimeoutException",
            "ServiceException",
            "ServiceUnavailable",
            "ServiceUnavailableException",
        }
    ),
    ErrorKind.NO_ACCESS: frozenset(
        {
            "AccessDenied",
            "AccessDeniedException",
            "ForbiddenException",
            "IDPRejectedClaim",
            "NotAuthorized",
            "OptInRequired",
            "RegionDisabledException",
            "SubscriptionRequiredException",
            "UnauthorizedClientException",
            "UnauthorizedException",
            "UnauthorizedOperation",
        }
    ),
    ErrorKind.BAD_CREDENTIALS: frozenset(
        {
            "AuthFailure",
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidClientException",
            "InvalidClientTokenId",
            "InvalidGrantException",
            "InvalidIdentityToken",
            "InvalidScopeException",
            "InvalidSignatureException",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "RequestExpired",
            "RequestInTheFuture",
            "RequestTimeTooSkewed",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
            "UnsupportedGrantTypeException",
        }
    ),
    ErrorKind.REFUSED: frozenset(
        {
            "ClientException",
            "HierarchyLevelLimitExceededException",
            "HierarchyTypeMismatchException",
            "IncompatiblePolicyException",
            "InvalidAction",
            "InvalidAllowedPatternException",
            "InvalidFilterKey",
            "InvalidFilterOption",
            "InvalidFilterValue",
            "InvalidKeyId",
            "InvalidParameterCombination",
            "InvalidParameterValue",
            "InvalidPolicyAttributeException",
            "InvalidPolicyTypeException",
            "InvalidQueryParameter",
            "InvalidRequestException",
            "ItemCollectionSizeLimitExceededException",
            "MalformedHttpRequestException",
            "MalformedPolicyDocument",
            "MalformedQueryString",
            "MissingAction",
            "MissingParameter",
            "PackedPolicyTooLarge",
            "ParameterAlreadyExists",
            "ParameterLimitExceeded",
            "ParameterMaxVersionLimitExceeded",
            "ParameterPatternMismatchException",
            "PoliciesLimitExceededException",
            "RequestEntityTooLarge",
            "RequestEntityTooLargeException",
            "ResourceNotFoundException",
            "UnknownOperationException",
            "UnsupportedParameterType",
            "ValidationError",
            "ValidationException",
        }
    ),
}

KINDS: dict[str, ErrorKind] = {code: kind for kind, codes in _SORTED.items() for code in codes}
"""Error code, without its namespace -> what it means."""

CREDENTIAL_OPERATIONS = {
    "AssumeRole": "sts",
    "AssumeRoleWithSAML": "sts",
    "AssumeRoleWithWebIdentity": "sts",
    "GetSessionToken": "sts",
    "GetRoleCredentials": "sso",
    "CreateToken": "sso-oauth",
    "CreateOAuth2Token": "signin",
}
"""Operation that hands out credentials -> its service prefix in IAM. botocore calls it during another call, which
is not sent if this one fails."""

_PASSING_WORDS = {
    "InvalidIdentityToken": "verification key",  # the identity provider did not answer STS
    "ValidationException": "backfilling",  # the index was created a moment ago
}
"""Codes with many causes -> the words of AWS for a cause that passes."""

_ROTATED = "AssumeRoleWithWebIdentity"
"""The operation whose expired token comes from a file. The file is renewed, and the next try reads it again."""

_SORTED_EXCEPTIONS: dict[ErrorKind, frozenset[str]] = {
    ErrorKind.PASSING: frozenset(
        {
            "CredentialRetrievalError",
            "MetadataRetrievalError",
            "NoCredentialsError",
            "TokenRetrievalError",
        }
    ),
    ErrorKind.BAD_CREDENTIALS: frozenset(
        {
            "LoginError",
            "NoAuthTokenError",
            "PartialCredentialsError",
            "ProfileNotFound",
            "RefreshWithMFAUnsupportedError",
            "SSOError",
        }
    ),
    ErrorKind.BAD_SETTING: frozenset(
        {
            "AirflowException",
            "BaseEndpointResolverError",
            "ConfigNotFound",
            "ConfigParseError",
            "DataNotFoundError",
            "EndpointProviderError",
            "FileNotFoundError",
            "ImportError",
            "InvalidChecksumConfigError",
            "InvalidConfigError",
            "InvalidDefaultsMode",
            "InvalidEndpointConfigurationError",
            "InvalidEndpointDiscoveryConfigurationError",
            "InvalidIMDSEndpointError",
            "InvalidIMDSEndpointModeError",
            "InvalidProxiesConfigError",
            "InvalidRetryConfigurationError",
            "InvalidSTSRegionalEndpointsConfigError",
            "IsADirectoryError",
            "JSONDecodeError",
            "MissingDependencyException",
            "NotADirectoryError",
            "NotImplementedError",
            "ParamValidationError",
            "PermissionError",
            "ServiceNotInRegionError",
            "UnicodeDecodeError",
            "UnknownCredentialError",
            "UnknownRegionError",
            "UnknownSignatureVersionError",
            "UnknownTokenProviderError",
            "UnsupportedSignatureVersionError",
            "ValidationError",
        }
    ),
}
_EXCEPTIONS = {name: kind for kind, names in _SORTED_EXCEPTIONS.items() for name in names}
"""Name of an exception of botocore, Airflow or Python -> what it means. Not every botocore has all of them."""

_CREDENTIALS = _SORTED_EXCEPTIONS[ErrorKind.PASSING] | _SORTED_EXCEPTIONS[ErrorKind.BAD_CREDENTIALS]

_SETTING_WORDS = (
    "Unsupported host",
    "not a legal header value",
    "CERTIFICATE_VERIFY_FAILED",
    "NO_CERTIFICATE_OR_CRL_FOUND",
    "WRONG_VERSION_NUMBER",
    os.strerror(errno.ENOEXEC),
)
"""Words of errors whose class says nothing. Their causes: an unsupported host for a role's credentials, an illegal
header value, an untrusted certificate, a file without certificates, an endpoint without TLS, and a credential process
that is not a program."""

_BUNDLE_WORDS = tuple(os.strerror(code) for code in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES))
"""Words of an ``SSLError`` for a certificate file that cannot be read."""


def kind_of_code(code: str, operation: str) -> ErrorKind | None:
    """Return what an error code of an operation means, ``None`` if that is unknown.

    If a request for credentials is refused, the credentials are at fault, never a resource.

    >>> kind_of_code("ValidationException", "PutParameter"), kind_of_code("ValidationException", "CreateOAuth2Token")
    (<ErrorKind.REFUSED: 'refused'>, <ErrorKind.BAD_CREDENTIALS: 'bad_credentials'>)
    """
    kind = KINDS.get(code)
    return ErrorKind.BAD_CREDENTIALS if kind is ErrorKind.REFUSED and operation in CREDENTIAL_OPERATIONS else kind


def kind_of(error: BaseException) -> ErrorKind:
    """Return what the error of a call to AWS means.

    If the instance's metadata endpoint has a problem, botocore raises ``NoCredentialsError`` as if there were no role.
    So that error counts as passing, unless the endpoint is disabled.

    >>> from botocore.exceptions import ClientError, NoCredentialsError
    >>> kind_of(ClientError({"Error": {"Code": "TooManyUpdates"}}, "PutParameter"))
    <ErrorKind.PASSING: 'passing'>
    >>> kind_of(ClientError({"Error": {"Code": "ParameterMaxVersionLimitExceeded"}}, "PutParameter"))
    <ErrorKind.REFUSED: 'refused'>
    >>> kind_of(TimeoutError())
    <ErrorKind.AMBIGUOUS: 'ambiguous'>
    """
    names = names_of(error)
    if "ClientError" in names:
        return _kind_of_answer(error)  # type: ignore[arg-type]
    if "NoCredentialsError" in names and _has_no_metadata():
        return ErrorKind.BAD_CREDENTIALS
    telling = _SETTING_WORDS + (_BUNDLE_WORDS if "SSLError" in names else ())
    if any(words in str(error) for words in telling):
        return ErrorKind.BAD_SETTING
    return next((_EXCEPTIONS[name] for name in names if name in _EXCEPTIONS), ErrorKind.AMBIGUOUS)


def is_about_credentials(error: BaseException) -> bool:
    """Return whether there were no credentials to send the call with.

    >>> from botocore.exceptions import NoCredentialsError
    >>> is_about_credentials(NoCredentialsError())
    True
    """
    return not _CREDENTIALS.isdisjoint(names_of(error))


def is_of_credentials(error: ClientError) -> bool:
    """Return whether the error comes from the service that hands out credentials, not from the called one.

    >>> from botocore.exceptions import ClientError
    >>> is_of_credentials(ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetRoleCredentials"))
    True
    """
    return error.operation_name in CREDENTIAL_OPERATIONS


def is_refused_for_now(error: ClientError) -> bool:
    """Return whether the called service itself says that it accepts no such call for now.

    An error of the service that hands out credentials does not count, nor does an unknown code, such as a proxy's.

    >>> from botocore.exceptions import ClientError
    >>> is_refused_for_now(ClientError({"Error": {"Code": "ThrottlingException"}}, "PutParameter"))
    True
    >>> is_refused_for_now(ClientError({"Error": {"Code": "403"}}, "PutParameter"))
    False
    """
    return KINDS.get(code_of(error)) is ErrorKind.PASSING and not is_of_credentials(error)


def is_repeatable(code: str) -> bool:
    """Return whether AWS may accept the same call in a moment after refusing it with ``code``.

    >>> is_repeatable("TransactionConflictException"), is_repeatable("InvalidNextToken")
    (True, False)
    """
    return KINDS.get(code) is ErrorKind.PASSING and code not in STALE_TOKENS


def may_quote(error: ClientError) -> bool:
    """Return whether AWS's message may quote the value that was sent.

    >>> from botocore.exceptions import ClientError
    >>> may_quote(ClientError({"Error": {"Code": "ValidationException"}}, "PutParameter"))
    True
    """
    return code_of(error) != "InvalidKeyId" and kind_of(error) not in (ErrorKind.NO_ACCESS, ErrorKind.BAD_CREDENTIALS)


def code_of(error: ClientError) -> str:
    """Return the AWS error code without its namespace.

    >>> from botocore.exceptions import ClientError
    >>> code_of(ClientError({"Error": {"Code": "com.amazonaws.dynamodb.v20120810#ValidationException"}}, "Query"))
    'ValidationException'
    """
    return str(error.response.get("Error", {}).get("Code", "")).rsplit("#", 1)[-1]


def words_of(error: ClientError) -> str:
    """Return what AWS says, in its own words.

    >>> from botocore.exceptions import ClientError
    >>> words_of(ClientError({"Error": {"Code": "ValidationException", "Message": "too long"}}, "PutParameter"))
    'too long'
    """
    details = error.response.get("Error", {})
    return str(details.get("Message") or details.get("message") or "")


def _kind_of_answer(error: ClientError) -> ErrorKind:
    code = code_of(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if status >= 500 and KINDS.get(code) is not ErrorKind.PASSING:
        return ErrorKind.AMBIGUOUS
    if code in _PASSING_WORDS and _PASSING_WORDS[code] in words_of(error):
        return ErrorKind.PASSING
    if error.operation_name == _ROTATED and code.startswith("ExpiredToken"):
        return ErrorKind.PASSING
    # A code that no model lists is tried again and logged, because giving up at once may be wrong.
    return kind_of_code(code, error.operation_name) or ErrorKind.PASSING


def names_of(error: BaseException) -> list[str]:
    """Return the names of an exception's classes, the most specific first.

    >>> names_of(TimeoutError())[:2]
    ['TimeoutError', 'OSError']
    """
    return [cls.__name__ for cls in type(error).__mro__]


def _has_no_metadata() -> bool:
    return os.environ.get("AWS_EC2_METADATA_DISABLED", "false").lower() == "true"
