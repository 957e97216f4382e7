"""The one table of errors, held against botocore's own models and modules."""

import errno
import inspect
import json
import os
from pathlib import Path

import boto3
import pytest
from botocore import credentials, exceptions, tokens, utils
from botocore.exceptions import BotoCoreError, ClientError
from botocore.retries import standard
from botocore.session import get_session
from requests.exceptions import HTTPError

from spot_runner_provider.hooks.ami_state import AmiStateHook
from spot_runner_provider.hooks.connection import refusing_settings
from spot_runner_provider.hooks.errors import (
    CREDENTIAL_OPERATIONS,
    KINDS,
    ErrorKind,
    is_about_credentials,
    is_refused_for_now,
    is_repeatable,
    kind_of,
)
from spot_runner_provider.hooks.image_builder import is_gone
from spot_runner_provider.protocol.calls import ConfigurationError

POLICY = Path(__file__).parents[2] / "docs" / "iam-policy.json"

CREDENTIALS = [
    *(("sts", f"AssumeRole{how}") for how in ("", "WithSAML", "WithWebIdentity")),
    ("sso", "GetRoleCredentials"),
    ("sso-oidc", "CreateToken"),
    ("signin", "CreateOAuth2Token"),
]
"""What botocore and the Amazon provider call for credentials."""

COMMON = {
    ErrorKind.PASSING: {*standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES},
    ErrorKind.AMBIGUOUS: {"InternalFailure", "ServiceUnavailable", "RequestTimeout", "RequestTimeoutException"},
    ErrorKind.NO_ACCESS: {
        "AccessDenied",
        "AccessDeniedException",
        "NotAuthorized",
        "OptInRequired",
        "UnauthorizedOperation",
    },
    ErrorKind.BAD_CREDENTIALS: {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    },
    ErrorKind.REFUSED: {
        "MalformedHttpRequestException",
        "UnknownOperationException",
        "ValidationError",
        "ValidationException",
    },
}
"""What each service of AWS may answer, whatever its model says (its API reference: "Common error types")."""


def operations():
    """Return service and operation of all that is called."""
    statements = json.loads(POLICY.read_text())["Statement"]
    actions = {action for each in statements for action in [each["Action"]] if isinstance(action, str)} | {
        action for each in statements if not isinstance(each["Action"], str) for action in each["Action"]
    }
    return [tuple(action.split(":")) for action in sorted(actions)] + CREDENTIALS


def refusal(code, message="", status=400, operation="PutParameter"):
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)


@pytest.mark.parametrize(("service", "operation"), operations(), ids=":".join)
def test_each_code_that_botocores_model_lists_is_sorted(service, operation):
    session = get_session()
    if service not in session.get_available_services():
        pytest.skip(f"this botocore has no {service}")
    model = session.get_service_model(service).operation_model(operation)
    assert [shape.error_code for shape in model.error_shapes if shape.error_code not in KINDS] == []


@pytest.mark.parametrize("kind", COMMON)
def test_common_codes_are_sorted(kind):
    assert {code: KINDS.get(code) for code in COMMON[kind]} == dict.fromkeys(COMMON[kind], kind)


def test_whatever_is_called_for_credentials_is_known_as_such():
    assert {operation for _, operation in CREDENTIALS} <= CREDENTIAL_OPERATIONS.keys()


def test_what_botocore_repeats_by_itself_is_not_for_good():
    codes = standard.TransientRetryableChecker._TRANSIENT_ERROR_CODES
    assert [code for code in codes if KINDS[code].is_for_good] == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        pytest.param(refusal("com.amazonaws.ssm#TooManyUpdates"), ErrorKind.PASSING, id="namespace"),
        pytest.param(refusal("TransactionConflictException"), ErrorKind.PASSING, id="transaction"),
        pytest.param(refusal("InternalServerError", status=500), ErrorKind.AMBIGUOUS, id="500"),
        pytest.param(refusal("AccessDeniedException", status=503), ErrorKind.AMBIGUOUS, id="any-code-with-503"),
        pytest.param(refusal("SlowDown", status=503), ErrorKind.PASSING, id="throttle-with-503"),
        pytest.param(refusal("502", status=502), ErrorKind.AMBIGUOUS, id="a-proxy-instead-of-aws"),
        pytest.param(refusal("NobodyKnowsException"), ErrorKind.PASSING, id="unknown"),
        pytest.param(
            refusal("ValidationException", "one or more parameter values"), ErrorKind.REFUSED, id="validation"
        ),
        pytest.param(
            refusal("ValidationException", "Cannot read from backfilling global secondary index: i"),
            ErrorKind.PASSING,
            id="new-index",
        ),
        pytest.param(
            refusal("InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider"),
            ErrorKind.PASSING,
            id="identity-provider-out-of-reach",
        ),
        pytest.param(
            refusal("InvalidIdentityToken", "No OpenIDConnect provider found"),
            ErrorKind.BAD_CREDENTIALS,
            id="no-provider",
        ),
        pytest.param(
            refusal("ExpiredTokenException", operation="AssumeRoleWithWebIdentity"),
            ErrorKind.PASSING,
            id="rotated-token",
        ),
        pytest.param(
            refusal("ExpiredTokenException", operation="Query"), ErrorKind.BAD_CREDENTIALS, id="expired-token"
        ),
        *(
            pytest.param(refusal(code, operation=operation), ErrorKind.BAD_CREDENTIALS, id=f"{operation}-{code}")
            for operation, code in [
                ("GetRoleCredentials", "ResourceNotFoundException"),
                ("CreateOAuth2Token", "ValidationException"),
                ("AssumeRole", "ValidationError"),
                ("AssumeRole", "PackedPolicyTooLarge"),
                ("AssumeRoleWithSAML", "MalformedPolicyDocument"),
            ]
        ),
    ],
)
def test_what_an_answer_means(error, kind):
    assert kind_of(error) is kind


@pytest.mark.parametrize(
    ("error", "for_now"),
    [
        pytest.param(refusal("ThrottlingException"), True, id="throttle"),
        pytest.param(refusal("SlowDown", status=503), True, id="throttle-with-503"),
        pytest.param(refusal("InvalidPaginationTokenException", operation="ListImages"), True, id="stale-token"),
        pytest.param(refusal("403", status=403), False, id="a-proxy-instead-of-aws"),
        pytest.param(refusal("IDPCommunicationError", operation="AssumeRoleWithWebIdentity"), False, id="idp"),
        pytest.param(refusal("ExpiredTokenException", operation="AssumeRoleWithWebIdentity"), False, id="rotated"),
        pytest.param(refusal("Throttling", operation="AssumeRole"), False, id="throttle-of-sts"),
        pytest.param(refusal("AccessDeniedException"), False, id="denied"),
    ],
)
def test_only_the_called_service_can_refuse_for_now(error, for_now):
    assert is_refused_for_now(error) is for_now


@pytest.mark.parametrize(
    ("operation", "gone"),
    [("GetImage", True), ("GetRoleCredentials", False)],
)
def test_an_image_is_gone_only_if_image_builder_says_so(operation, gone):
    assert is_gone(refusal("ResourceNotFoundException", operation=operation)) is gone


@pytest.mark.parametrize(
    ("operation", "code", "expected"),
    [
        pytest.param("Query", "ResourceNotFoundException", "No DynamoDB table 't'", id="no-table"),
        *(
            pytest.param(
                operation, code, f"There are no credentials for table t: AWS refuses {action} ({code})", id=name
            )
            for name, operation, action, code in [
                ("sso-not-found", "GetRoleCredentials", "sso:GetRoleCredentials", "ResourceNotFoundException"),
                ("sso-forbidden", "GetRoleCredentials", "sso:GetRoleCredentials", "ForbiddenException"),
                ("signin", "CreateOAuth2Token", "signin:CreateOAuth2Token", "ValidationException"),
                ("sts", "AssumeRole", "sts:AssumeRole", "ValidationError"),
            ]
        ),
    ],
)
def test_the_table_is_not_blamed_for_what_hands_out_credentials(monkeypatch, operation, code, expected):
    hook = AmiStateHook(table_name="t", aws_conn_id=None, region_name="us-east-1")
    monkeypatch.setattr(AmiStateHook, "client", boto3.client("dynamodb", "us-east-1"))
    with pytest.raises(ConfigurationError) as told, hook._explained():
        raise refusal(code, operation=operation)
    assert type(told.value) is ConfigurationError
    assert str(told.value).startswith(expected)


# What is raised without an answer of AWS.


@pytest.mark.parametrize(
    "error",
    [
        error
        for name, error in {**vars(credentials), **vars(tokens)}.items()
        if inspect.isclass(error) and issubclass(error, BotoCoreError)
    ],
)
def test_every_error_of_botocores_credential_providers_is_known(error):
    assert kind_of(error.__new__(error)) is not ErrorKind.AMBIGUOUS


@pytest.mark.parametrize(
    ("error", "kind", "of_credentials"),
    [
        (exceptions.NoCredentialsError(), ErrorKind.PASSING, True),
        (exceptions.MetadataRetrievalError(error_msg="503"), ErrorKind.PASSING, True),
        (exceptions.CredentialRetrievalError(provider="container-role", error_msg="503"), ErrorKind.PASSING, True),
        (exceptions.CredentialRetrievalError(provider="custom-process", error_msg="exit 1"), ErrorKind.PASSING, True),
        (exceptions.TokenRetrievalError(provider="sso", error_msg="refresh failed"), ErrorKind.PASSING, True),
        (exceptions.UnauthorizedSSOTokenError(), ErrorKind.BAD_CREDENTIALS, True),
        (exceptions.SSOTokenLoadError(error_msg="none"), ErrorKind.BAD_CREDENTIALS, True),
        (exceptions.PartialCredentialsError(provider="env", cred_var="key"), ErrorKind.BAD_CREDENTIALS, True),
        (exceptions.ProfileNotFound(profile="ci"), ErrorKind.BAD_CREDENTIALS, True),
        (exceptions.InvalidConfigError(error_msg="profile"), ErrorKind.BAD_SETTING, False),
        (exceptions.InvalidRegionError(region_name="us_east_1"), ErrorKind.BAD_SETTING, False),
        (exceptions.NoRegionError(), ErrorKind.BAD_SETTING, False),
        (FileNotFoundError("no token file"), ErrorKind.BAD_SETTING, False),
        (NotImplementedError("assume_role_method=x"), ErrorKind.BAD_SETTING, False),
        (ModuleNotFoundError("No module named 'requests_gssapi'"), ErrorKind.BAD_SETTING, False),
        (ValueError("Unsupported host 'example.com'.  Can only retrieve metadata"), ErrorKind.BAD_SETTING, False),
        (exceptions.SSLError(endpoint_url="u", error="CERTIFICATE_VERIFY_FAILED"), ErrorKind.BAD_SETTING, False),
        (
            exceptions.SSLError(endpoint_url="u", error="[Errno 2] No such file or directory"),
            ErrorKind.BAD_SETTING,
            False,
        ),
        (exceptions.SSLError(endpoint_url="u", error="[Errno 13] Permission denied"), ErrorKind.BAD_SETTING, False),
        (exceptions.SSLError(endpoint_url="u", error="[Errno 20] Not a directory"), ErrorKind.BAD_SETTING, False),
        (exceptions.SSLError(endpoint_url="u", error="[Errno 21] Is a directory"), ErrorKind.BAD_SETTING, False),
        (
            exceptions.SSLError(endpoint_url="u", error="[X509: NO_CERTIFICATE_OR_CRL_FOUND]"),
            ErrorKind.BAD_SETTING,
            False,
        ),
        (exceptions.SSLError(endpoint_url="u", error="[SSL: WRONG_VERSION_NUMBER]"), ErrorKind.BAD_SETTING, False),
        (exceptions.SSLError(endpoint_url="u", error="EOF occurred"), ErrorKind.AMBIGUOUS, False),
        (
            exceptions.SSLError(endpoint_url="u", error="[Errno 104] Connection reset by peer"),
            ErrorKind.AMBIGUOUS,
            False,
        ),
        (NotADirectoryError("token file"), ErrorKind.BAD_SETTING, False),
        (OSError(errno.ENOEXEC, os.strerror(errno.ENOEXEC), "helper"), ErrorKind.BAD_SETTING, False),
        (OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)), ErrorKind.AMBIGUOUS, False),
        (json.JSONDecodeError("Expecting value", "hello", 0), ErrorKind.BAD_SETTING, False),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), ErrorKind.BAD_SETTING, False),
        (exceptions.EndpointConnectionError(endpoint_url="u"), ErrorKind.AMBIGUOUS, False),
        (exceptions.ReadTimeoutError(endpoint_url="u"), ErrorKind.AMBIGUOUS, False),
        (utils.BadIMDSRequestError("request"), ErrorKind.AMBIGUOUS, False),
        (HTTPError("503 of the identity provider"), ErrorKind.AMBIGUOUS, False),
        (RuntimeError("the refreshed credentials are still expired"), ErrorKind.AMBIGUOUS, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_no_answer_means(monkeypatch, error, kind, of_credentials):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    assert (kind_of(error), is_about_credentials(error)) == (kind, of_credentials)


@pytest.mark.parametrize(
    ("error", "blamed"),
    [
        (json.JSONDecodeError("Expecting value", "hello", 0), "credential_process of the worker"),
        (
            UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
            "credential_process of the worker",
        ),
        (ValueError("Invalid endpoint: x"), "botocore_config"),
    ],
    ids=["no-json", "no-text", "endpoint"],
)
def test_what_the_worker_cannot_read_is_not_blamed_on_the_client(error, blamed):
    with pytest.raises(ConfigurationError, match=blamed), refusing_settings():
        raise error


def test_a_credential_process_without_json_is_named():
    hook = AmiStateHook(table_name="t", aws_conn_id=None, region_name="us-east-1")
    told = pytest.raises(ConfigurationError, match=r"sent to table t: JSONDecodeError.*credential_process")
    with told, hook.explained("table t"):
        raise json.JSONDecodeError("Expecting value", "hello", 0)


def test_no_credentials_is_final_without_a_metadata_endpoint(monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "TRUE")
    assert kind_of(exceptions.NoCredentialsError()) is ErrorKind.BAD_CREDENTIALS


def test_only_stale_tokens_pass_without_a_repetition():
    assert [code for code in KINDS if KINDS[code] is ErrorKind.PASSING and not is_repeatable(code)] == [
        code for code in KINDS if code in {"InvalidNextToken", "InvalidPaginationTokenException"}
    ]
