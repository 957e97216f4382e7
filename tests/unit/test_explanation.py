"""What AWS's words mean for a person. The messages are those that people quote in public reports of the services."""

import pytest

from spot_runner_provider.hooks.explanation import FailedCall

PARAMETER = "parameter /a"
TABLE = "table t"
WHO = "the identity of connection prod"
ROLE = "arn:aws:sts::123456789012:assumed-role/airflow/worker"
TARGET = "arn:aws:iam::123456789012:role/reconciler"
KEY = "arn:aws:kms:us-east-1:123456789012:key/0f9b04ee-ab13-4f35-a2b2-d0902bfe6a1e"
PARAMETER_ARN = "arn:aws:ssm:us-east-1:123456789012:parameter/spot-runner/configs/linux-x64"
DENIED = f"User: {ROLE} is not authorized to perform: ssm:PutParameter on resource: {PARAMETER_ARN}"
KMS_DENIED = f"User: {ROLE} is not authorized to perform: kms:GenerateDataKey on resource: {KEY}"
BY_KMS = (
    "(Service: AWSKMS; Status Code: 400; Error Code: {}; Request ID: d15ba1d5-4f79-416a-89c6-95d64e3d1e09; Proxy: null)"
)
TOKEN = "The security token included in the request is invalid."
EXPIRED = "Signature expired: 20180920T174101Z is now earlier than 20180920T174504Z (20180920T175004Z - 5 min.)"


def put(message, code="AccessDeniedException", **changes):
    fields = {
        "action": "ssm:PutParameter",
        "resource": PARAMETER,
        "connection": "connection prod",
        "region": "us-east-1",
    }
    return FailedCall(**fields | changes, code=code, message=message)


def query(message, code="AccessDeniedException", **changes):
    return put(message, code, action="dynamodb:Query", resource=TABLE, **changes)


GUARDED = f"ssm:PutParameter on {PARAMETER}. {{}}. What the policy of {WHO} allows does not help"
ASSIGN = (
    "Assign the user to that account and permission set in IAM Identity Center. Or correct sso_account_id, "
    "sso_role_name and sso_region"
)
CORRECT_ROLE = "Correct the role, its session name and its session policies"
CASES = {
    # Denied by the policies of the identity.
    "no-words": (put("no"), f"Access denied: allow ssm:PutParameter on {PARAMETER} for {WHO}"),
    "plain": (put(DENIED), f"Access denied: allow ssm:PutParameter on {PARAMETER} for {WHO}"),
    "identity-implicit": (
        put(f"{DENIED} because no identity-based policy allows the ssm:PutParameter action"),
        f"Access denied: allow ssm:PutParameter on {PARAMETER} for {WHO}",
    ),
    "identity-explicit": (
        put(f"{DENIED} with an explicit deny in an identity-based policy"),
        f"Access denied: an identity-based policy of {WHO} denies ssm:PutParameter on {PARAMETER} explicitly. "
        f"Remove that "
        "deny; allowing the action as well does not help",
    ),
    "explicit-of-unknown-kind": (
        put(f"{DENIED} with an explicit deny"),
        f"Access denied: a policy denies ssm:PutParameter on {PARAMETER} explicitly. Find and remove that deny "
        f"for {WHO}; "
        "allowing the action elsewhere does not help",
    ),
    # Denied by what only limits.
    "scp-explicit": (
        put(f"{DENIED} with an explicit deny in a service control policy"),
        "Access denied: a service control policy denies "
        + GUARDED.format("Whoever administers the AWS organization must change that policy"),
    ),
    "scp-explicit-with-its-arn": (
        put(f"{DENIED} with an explicit deny in a service control policy: arn:aws:organizations::1:policy/o-a/p-b"),
        "Access denied: a service control policy denies "
        + GUARDED.format("Whoever administers the AWS organization must change that policy"),
    ),
    "scp-in-old-words": (
        put(f"{DENIED} due to an explicit deny in a Service Control Policy"),
        "Access denied: a service control policy denies "
        + GUARDED.format("Whoever administers the AWS organization must change that policy"),
    ),
    "scp-implicit": (
        put(f"{DENIED} because no service control policy allows the ssm:PutParameter action"),
        "Access denied: no service control policy allows "
        + GUARDED.format("Whoever administers the AWS organization must change that policy"),
    ),
    "rcp": (
        put(f"{DENIED} with an explicit deny in a resource control policy"),
        "Access denied: a resource control policy denies "
        + GUARDED.format("Whoever administers the AWS organization must change that policy"),
    ),
    "boundary-implicit": (
        put(f"{DENIED} because no permissions boundary allows the ssm:PutParameter action"),
        "Access denied: no permissions boundary allows " + GUARDED.format(f"Change the permissions boundary of {WHO}"),
    ),
    "boundary-explicit": (
        put(f"{DENIED} with an explicit deny in a permissions boundary"),
        "Access denied: a permissions boundary denies " + GUARDED.format(f"Change the permissions boundary of {WHO}"),
    ),
    "session-policy": (
        put(f"{DENIED} because no session policy allows the ssm:PutParameter action"),
        "Access denied: no session policy allows "
        + GUARDED.format(
            "Change the session policy with which the role is assumed (assume_role_kwargs in connection prod)"
        ),
    ),
    "vpc-endpoint-explicit": (
        put(f"{DENIED} with an explicit deny in a VPC endpoint policy"),
        "Access denied: a vpc endpoint policy denies "
        + GUARDED.format("Change the policy of the VPC endpoint through which the worker calls"),
    ),
    "vpc-endpoint-implicit": (
        put(f"{DENIED} because no VPC endpoint policy allows the ssm:PutParameter action"),
        "Access denied: no vpc endpoint policy allows "
        + GUARDED.format("Change the policy of the VPC endpoint through which the worker calls"),
    ),
    "resource-policy": (
        query(
            f"User: {ROLE} is not authorized to perform: dynamodb:Query on resource: "
            f"arn:aws:dynamodb:us-east-1:1:table/t "
            "with an explicit deny in a resource-based policy"
        ),
        f"Access denied: a resource-based policy denies dynamodb:Query on {TABLE}. Change the policy of that "
        f"resource; a "
        f"KMS key's is its key policy. What the policy of {WHO} allows does not help",
    ),
    # The denied action is another one than the call's.
    "kms-of-ssm": (
        put(
            f"{KMS_DENIED} because no identity-based policy allows the kms:GenerateDataKey action {BY_KMS.format('x')}"
        ),
        f"Access denied: allow kms:GenerateDataKey on {KEY} (a KMS key, needed for {PARAMETER}) for {WHO}, and "
        f"let the key "
        "policy allow it too",
    ),
    "kms-by-key-policy": (
        put(f"{KMS_DENIED} because no resource-based policy allows the kms:GenerateDataKey action"),
        f"Access denied: no resource-based policy allows kms:GenerateDataKey on {KEY} (a KMS key, needed for "
        f"{PARAMETER}). "
        f"Change the policy of that resource; a KMS key's is its key policy. What the policy of {WHO} allows "
        f"does not help",
    ),
    "kms-by-scp": (
        put(f"{KMS_DENIED} with an explicit deny in a service control policy"),
        f"Access denied: a service control policy denies kms:GenerateDataKey on {KEY} (a KMS key, needed for "
        f"{PARAMETER}). "
        f"Whoever administers the AWS organization must change that policy. What the policy of {WHO} allows "
        f"does not help",
    ),
    "kms-of-dynamodb": (
        query(
            "KMS key access denied error: com.amazonaws.services.kms.model.AWSKMSException: The ciphertext refers to a "
            "customer master key that does not exist, does not exist in this region, or you are not allowed to access. "
            + BY_KMS.format("AccessDeniedException")
        ),
        f"Access denied: the KMS key of {TABLE} does not exist, or may not be used. Allow kms:Decrypt on it for "
        f"{WHO}, in "
        "the policy of that identity and in the key policy",
    ),
    "kms-of-another-account": (
        put(
            f"User: {ROLE} is not authorized to perform: kms:Decrypt on the resource associated with this "
            f"ciphertext because "
            "the resource does not exist in this Region, no resource-based policies allow access, or a resource-based "
            "policy explicitly denies access"
        ),
        f"Access denied: the KMS key of {PARAMETER} does not exist, or may not be used. Allow kms:Decrypt on it "
        f"for {WHO}, "
        "in the policy of that identity and in the key policy",
    ),
    # A key that nobody can use.
    "kms-pending-deletion": (
        put(f"{KEY} is pending deletion. {BY_KMS.format('KMSInvalidStateException')}", "InvalidKeyId"),
        f"The KMS key {KEY} of {PARAMETER} is pending deletion: cancel its deletion and enable it, or encrypt "
        f"with another "
        "key",
    ),
    "kms-disabled": (
        put(f"{KEY} is disabled. {BY_KMS.format('DisabledException')}", "InvalidKeyId"),
        f"The KMS key {KEY} of {PARAMETER} is disabled: enable it, or encrypt with another key",
    ),
    "kms-disabled-of-dynamodb": (
        query(f"KMS key access denied error: {KEY} is disabled. {BY_KMS.format('DisabledException')}"),
        f"The KMS key {KEY} of {TABLE} is disabled: enable it, or encrypt with another key",
    ),
    "kms-key-gone": (
        put(f"Key '{KEY}' does not exist {BY_KMS.format('NotFoundException')}", "InvalidKeyId"),
        f"The KMS key {KEY} of {PARAMETER} does not exist in this account and region: encrypt with a key that does",
    ),
    "kms-alias-gone": (
        put(
            f"Alias arn:aws:kms:us-west-2:1:alias/parameter_store_key is not found. "
            f"{BY_KMS.format('NotFoundException')}",
            "InvalidKeyId",
        ),
        f"The KMS key arn:aws:kms:us-west-2:1:alias/parameter_store_key of {PARAMETER} does not exist in this "
        f"account and "
        "region: encrypt with a key that does",
    ),
    "assume-role-with-web-identity": (
        put(
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
            "AccessDenied",
            action="sts:AssumeRoleWithWebIdentity",
        ),
        f"Access denied: {WHO} may not assume its role (sts:AssumeRoleWithWebIdentity). Let the trust policy of "
        f"the role "
        "accept that identity",
    ),
    **{
        f"session-{what}": (
            put(
                f"User: {ROLE} is not authorized to perform: sts:{what} on resource: {TARGET}",
                "AccessDenied",
                action=f"sts:{operation}",
                resource=TABLE,
            ),
            f"Access denied: {WHO} may not assume the role {TARGET} (sts:{what}). {own}Let the trust policy of the "
            f"role accept that identity, and allow sts:{what} too",
        )
        for operation, what, own in [
            ("AssumeRole", "TagSession", "Allow sts:TagSession on it in the policy of that identity. "),
            ("AssumeRole", "SetSourceIdentity", "Allow sts:SetSourceIdentity on it in the policy of that identity. "),
            ("AssumeRoleWithWebIdentity", "TagSession", ""),
        ]
    },
    "assume-role-by-scp": (
        put(
            f"User: {ROLE} is not authorized to perform: sts:AssumeRole on resource: {TARGET} with an explicit deny in "
            "a service control policy",
            "AccessDenied",
            action="sts:AssumeRole",
            resource=TABLE,
        ),
        f"Access denied: a service control policy denies sts:AssumeRole on the role {TARGET} (needed for {TABLE}). "
        f"Whoever administers the AWS organization must change that policy. What the policy of {WHO} allows does not "
        "help",
    ),
    "no-oidc-provider": (
        put(
            "No OpenIDConnect provider found in your account for https://oidc.eks.us-east-1.amazonaws.com/id/0F9B",
            "InvalidIdentityToken",
            action="sts:AssumeRoleWithWebIdentity",
            resource=TABLE,
        ),
        f"AWS does not accept the credentials for {TABLE} (InvalidIdentityToken): the role's account does not know who "
        "issued the token. Create the OIDC provider of that issuer in IAM of that account, or correct the role in "
        "connection prod",
    ),
    # The clock.
    **{
        f"clock-{code}": (
            put(message, code),
            f"The worker's clock is wrong, so AWS does not accept the call for {PARAMETER} ({code}). Set the "
            f"clock of the "
            "worker. The credentials need no change",
        )
        for code, message in {
            "InvalidSignatureException": EXPIRED,
            "SignatureDoesNotMatch": EXPIRED,
            "RequestTimeTooSkewed": "The difference between the request time and the current time is too large.",
            "RequestExpired": "Request has expired.",
            "IncompleteSignature": "Signature not yet current: 20170731T092200Z is still later than 20170731T092115Z "
            "(20170731T091615Z + 5 min.)",
        }.items()
    },
    # The region.
    "region-not-enabled": (
        query(TOKEN, "UnrecognizedClientException", region="ap-east-1"),
        f"AWS does not accept the credentials for {TABLE} (UnrecognizedClientException). Either the account has "
        f"not enabled "
        "the region ap-east-1: enable it, or correct region_name. Or the key is wrong: correct it in connection prod",
    ),
    "region-not-enabled-says-sts": (
        query(TOKEN, "InvalidClientTokenId", region="eu-south-2"),
        f"AWS does not accept the credentials for {TABLE} (InvalidClientTokenId). Either the account has not "
        f"enabled the "
        "region eu-south-2: enable it, or correct region_name. Or the key is wrong: correct it in connection prod",
    ),
    "opt-in": (
        query(
            "You are not subscribed to this service. Please go to http://aws.amazon.com to subscribe.",
            "OptInRequired",
            region="me-south-1",
        ),
        f"The account has not enabled the region me-south-1, or this service, for {TABLE} (OptInRequired). "
        f"Enable it, or "
        "correct region_name",
    ),
    "another-region": (
        query("Credential should be scoped to a valid region, not 'us-east-1'.", "InvalidSignatureException"),
        f"AWS does not accept the credentials for {TABLE} (InvalidSignatureException): they were used for "
        f"another region "
        "than the endpoint's. Correct region_name, or endpoint_url",
    ),
    # The credentials.
    "bad-key": (
        query(TOKEN, "UnrecognizedClientException"),
        f"AWS does not accept the credentials for {TABLE} (UnrecognizedClientException). Correct or renew them "
        f"in connection "
        "prod",
    ),
    "expired": (
        query("The security token included in the request is expired", "ExpiredTokenException"),
        f"AWS does not accept the credentials for {TABLE} (ExpiredTokenException): they have expired. Renew them in "
        "connection prod",
    ),
    # What hands out the credentials refuses.
    **{
        f"{action.partition(':')[2]}-{code}": (
            put("", code, action=action, resource=TABLE),
            f"There are no credentials for {TABLE}: AWS refuses {action} ({code}). {remedy}, in connection prod or in "
            "the worker's profile",
        )
        for action, code, remedy in [
            ("sso:GetRoleCredentials", "ResourceNotFoundException", ASSIGN),
            ("sso:GetRoleCredentials", "ForbiddenException", ASSIGN),
            (
                "sso-oauth:CreateToken",
                "InvalidGrantException",
                "Sign in again with aws sso login, or correct the sso_session",
            ),
            (
                "signin:CreateOAuth2Token",
                "ValidationException",
                "Sign in again with aws login, or correct the login_session",
            ),
            ("sts:AssumeRole", "ValidationError", CORRECT_ROLE),
            ("sts:AssumeRole", "PackedPolicyTooLarge", CORRECT_ROLE),
            ("sts:AssumeRole", "MalformedPolicyDocument", CORRECT_ROLE),
        ]
    },
    # Refused for what the parameter is.
    "too-many-versions": (
        put("", "ParameterMaxVersionLimitExceeded"),
        f"AWS refuses ssm:PutParameter on {PARAMETER} (ParameterMaxVersionLimitExceeded). Move the label of the "
        "parameter's oldest version to a newer one: SSM keeps 100 versions, and deletes none that has a label",
    ),
    "validation": (
        put("1 validation error detected", "ValidationException"),
        f"AWS refuses ssm:PutParameter on {PARAMETER} (ValidationException). Fix what AWS names",
    ),
}


@pytest.mark.parametrize(("call", "told"), CASES.values(), ids=CASES)
def test_what_is_told(call, told):
    assert call.explanation == f"{told}. AWS says: {call.message or call.code}"


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        pytest.param(
            "The request signature we calculated does not match the signature you provided. Check your AWS "
            "Secret Access "
            "Key. The Canonical String for this request should have been 'POST / x-amz-security-token:s3cret'",
            "The request signature we calculated does not match the signature you provided. Check your AWS "
            "Secret Access "
            "Key. ...",
            id="canonical-string",
        ),
        pytest.param(
            "Authorization header requires 'Signature' parameter. Authorization=AWS4-HMAC-SHA256 Credential=AKIAs3cret",
            "Authorization header requires 'Signature' parameter. ...",
            id="authorization",
        ),
        pytest.param(
            "Invalid key=value pair (missing equal-sign) in Authorization header: 'AWS4-HMAC-SHA256 Credential=s3cret'",
            "Invalid key=value pair (missing equal-sign) ...",
            id="header",
        ),
    ],
)
def test_what_aws_quotes_of_the_request_is_not_told(message, kept):
    told = put(message, "InvalidSignatureException").explanation
    assert told.endswith(f"AWS says: {kept}")
    assert "s3cret" not in told


def test_a_message_of_several_lines_is_one():
    assert put("no\n  access").explanation.endswith("AWS says: no access")


def test_the_code_is_told_where_aws_says_nothing():
    assert put("").explanation.endswith("AWS says: AccessDeniedException")
