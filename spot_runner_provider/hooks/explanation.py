"""What AWS's refusal of a call means for the person who must fix it.

One code has many causes, so AWS's message decides: it names the action and the resource that were denied, the kind of
policy that denies them, or the key that cannot be used. AWS's own words are always told, except where they quote the
request.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from spot_runner_provider.hooks.errors import CREDENTIAL_OPERATIONS, KINDS, ErrorKind, kind_of_code
from spot_runner_provider.records.text import shown

_UNKNOWN_KEY = frozenset({"AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException"})
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException"})
_SKEWED = frozenset({"RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"})
_NOT_SUBSCRIBED = frozenset({"OptInRequired", "RegionDisabledException", "SubscriptionRequiredException"})

_ALWAYS_ENABLED = re.compile(
    r"(us-(east|west)-[12]|ca-central-1|sa-east-1|eu-(central-1|north-1|west-[123])"
    r"|ap-(south-1|northeast-[123]|southeast-[12])|(cn|us-gov|us-iso|us-isob|eu-isoe|us-isof|eusc)-.*)"
)
"""Regions that are enabled in every account: those from before March 2019, and all in the other partitions (AWS Account
Management: "Enable or disable AWS Regions in your account")."""

_DENIAL = re.compile(
    r"not authorized to perform:? (?P<action>[\w-]+:\w+)(?: on resource: \"?(?P<resource>[^\s\"]+))?", re.I
)
_EXPLICIT = re.compile(
    r"explicit deny(?: in (?:an? |the )?(?P<kind>[\w -]*?(?:policy|permissions boundary)))?(?=[\s.,:;)]|$)", re.I
)
_IMPLICIT = re.compile(r"because no (?P<kind>[\w -]*?(?:polic(?:y|ies)|permissions boundary)) allows?\b", re.I)

_SKEW_WORDS = re.compile(r"signature (expired|not yet current)|request (time|has expired)|time too skewed", re.I)
_NO_PROVIDER = re.compile(r"no OpenIDConnect provider found", re.I)
_OTHER_SCOPE = re.compile(r"credential should be scoped to", re.I)
_KEY = re.compile(r"(?P<key>arn:[\w-]+:kms:[^\s'\"]+)")
_KEY_STATE = re.compile(
    r"(?P<state>pending deletion|pending import|pending replica deletion|is disabled|is unavailable)", re.I
)
_NO_KEY = re.compile(r"(key|alias) \S+ (does not exist|is not found)", re.I)
_UNUSABLE_KEY = re.compile(
    r"ciphertext refers to a (customer master|KMS) key that does not exist|resource does not exist in this region"
    r"|KMS key access denied",
    re.I,
)
_OF_KMS = re.compile(r"kms|customer master key", re.I)
_QUOTES = re.compile(
    r"\s*(The Canonical String for this request|The String-to-Sign|Authorization=|(in )?Authorization header: '"
    r"|'?AWS4-HMAC-SHA256).*",
    re.S,
)
"""Where AWS begins to quote the rejected request, with a key id, a session token or a signature."""


@dataclass(frozen=True, slots=True)
class FailedCall:
    """A call that AWS refused permanently.

    :param action: the IAM action of the call, such as ``ssm:PutParameter``.
    :param resource: what it was about, in words, such as ``parameter /spot-runner/configs/linux-x64``.
    :param code: AWS's error code.
    :param message: AWS's words.
    :param connection: whose identity called, such as ``connection aws_default``.
    :param region: the region; ``None`` if it is not known.

    >>> said = "User: arn:aws:iam::123456789012:user/airflow is not authorized to perform: kms:GenerateDataKey on "
    >>> said += "resource: arn:aws:kms:us-east-1:123456789012:key/0f9b because no identity-based policy allows the "
    >>> said += "kms:GenerateDataKey action"
    >>> call = FailedCall("ssm:PutParameter", "parameter /a", "AccessDeniedException", said, "connection aws_default")
    >>> call.explanation.partition(". AWS says: ")[0]
    'Access denied: allow kms:GenerateDataKey on arn:aws:kms:us-east-1:123456789012:key/0f9b (a KMS key, needed for
    parameter /a) for the identity of connection aws_default, and let the key policy allow it too'
    """

    action: str
    resource: str
    code: str
    message: str
    connection: str
    region: str | None = None

    @property
    def explanation(self) -> str:
        """What is wrong, what to do, and AWS's words."""
        told = next(filter(None, (rule(self) for rule in _RULES)))
        return f"{told}. AWS says: {self.words or self.code}"

    @property
    def kind(self) -> ErrorKind | None:
        """What the code means, if that is known."""
        return kind_of_code(self.code, self.operation)

    @property
    def operation(self) -> str:
        """The call without its service, such as ``PutParameter``."""
        return self.action.partition(":")[2]

    @property
    def words(self) -> str:
        """AWS's words in one line, without what they quote of the request."""
        return shown(_QUOTES.sub(" ...", " ".join(self.message.split())))

    @property
    def identity(self) -> str:
        """Who called, in words."""
        return f"the identity of {self.connection}"


def _clock(call: FailedCall) -> str | None:
    if call.code not in _SKEWED and not (call.kind is ErrorKind.BAD_CREDENTIALS and _SKEW_WORDS.search(call.message)):
        return None
    return (
        f"The worker's clock is wrong, so AWS does not accept the call for {call.resource} ({call.code}). "
        "Set the clock of the worker. The credentials need no change"
    )


def _key(call: FailedCall) -> str | None:
    """A KMS key that cannot be used. SSM and DynamoDB report it under their own codes."""
    if not _OF_KMS.search(call.message):
        return None
    found = _KEY.search(call.message)
    key = f"The KMS key {found['key'].rstrip('.')} of {call.resource}" if found else f"The KMS key of {call.resource}"
    if state := _KEY_STATE.search(call.message):
        what = state["state"].lower().removeprefix("is ")
        remedy = "cancel its deletion and enable it" if "deletion" in what else "make it usable again"
        return f"{key} is {what}: {'enable it' if what == 'disabled' else remedy}, or encrypt with another key"
    if _UNUSABLE_KEY.search(call.message):
        denied = _DENIAL.search(call.message)
        action = denied["action"] if denied else "kms:Decrypt"
        return (
            f"Access denied: {key[0].lower()}{key[1:]} does not exist, or may not be used. Allow {action} on it for "
            f"{call.identity}, in the policy of that identity and in the key policy"
        )
    if _NO_KEY.search(call.message):
        return f"{key} does not exist in this account and region: encrypt with a key that does"
    return None


def _not_handed_out(call: FailedCall) -> str | None:
    """A refused request for credentials: for its content, or by a service without IAM policies."""
    service = CREDENTIAL_OPERATIONS.get(call.operation)
    if service is None or (service == "sts" and KINDS.get(call.code) is not ErrorKind.REFUSED):
        return None
    return (
        f"There are no credentials for {call.resource}: AWS refuses {call.action} ({call.code}). "
        f"{_SOURCES[service]}, in {call.connection} or in the worker's profile"
    )


def _denied(call: FailedCall) -> str | None:
    if call.kind is not ErrorKind.NO_ACCESS:
        return None
    denied = _DENIAL.search(call.message)
    action = denied["action"] if denied else call.action
    resource = call.resource
    named = denied and denied["resource"]
    role = f"the role {named.rstrip('.')}" if named else "its role"
    if action.lower().startswith("sts:"):
        resource = f"{role} (needed for {resource})"
    elif action.lower() != call.action.lower():
        what = "a KMS key, needed" if action.lower().startswith("kms:") else "needed"
        resource = f"{named.rstrip('.')} ({what} for {resource})" if named else f"what is needed for {resource}"
    explicit, implicit = _EXPLICIT.search(call.message), _IMPLICIT.search(call.message)
    kind = (explicit and explicit["kind"]) or (implicit and implicit["kind"]) or "identity-based policy"
    kind = kind.lower().replace("policies", "policy").strip()
    if explicit and not explicit["kind"]:
        return (
            f"Access denied: a policy denies {action} on {resource} explicitly. Find and remove that deny for "
            f"{call.identity}; allowing the action elsewhere does not help"
        )
    if remedy := _GUARDRAILS.get(kind):
        verb = f"a {kind} denies" if explicit else f"no {kind} allows"
        does_not = f"What the policy of {call.identity} allows does not help"
        return f"Access denied: {verb} {action} on {resource}. {remedy(call)}. {does_not}"
    if explicit:
        return (
            f"Access denied: an {kind} of {call.identity} denies {action} on {resource} explicitly. Remove that deny; "
            "allowing the action as well does not help"
        )
    if action.lower().startswith("sts:"):
        by_iam = call.operation == "AssumeRole"
        own = f"Allow {action} on it in the policy of that identity. " if by_iam else ""
        besides = "" if action.lower().startswith("sts:assumerole") else f", and allow {action} too"
        return (
            f"Access denied: {call.identity} may not assume {role} ({action}). "
            f"{own}Let the trust policy of the role accept that identity{besides}"
        )
    key_policy = ", and let the key policy allow it too" if action.lower().startswith("kms:") else ""
    return f"Access denied: allow {action} on {resource} for {call.identity}{key_policy}"


def _not_enabled(call: FailedCall) -> str | None:
    if call.code not in _NOT_SUBSCRIBED:
        return None
    return (
        f"The account has not enabled the region {call.region or 'that is called'}, or this service, for "
        f"{call.resource} ({call.code}). Enable it, or correct region_name"
    )


def _credentials(call: FailedCall) -> str | None:
    if call.kind is not ErrorKind.BAD_CREDENTIALS:
        return None
    refused = f"AWS does not accept the credentials for {call.resource} ({call.code})"
    if call.code in _EXPIRED:
        return f"{refused}: they have expired. Renew them in {call.connection}"
    if _NO_PROVIDER.search(call.message):
        return (
            f"{refused}: the role's account does not know who issued the token. Create the OIDC provider of that "
            f"issuer in IAM of that account, or correct the role in {call.connection}"
        )
    if _OTHER_SCOPE.search(call.message):
        return f"{refused}: they were used for another region than the endpoint's. Correct region_name, or endpoint_url"
    if call.code in _UNKNOWN_KEY and not (call.region and _ALWAYS_ENABLED.fullmatch(call.region)):
        return (
            f"{refused}. Either the account has not enabled the region {call.region or 'that is called'}: enable it, "
            f"or correct region_name. Or the key is wrong: correct it in {call.connection}"
        )
    return f"{refused}. Correct or renew them in {call.connection}"


def _refused(call: FailedCall) -> str:
    return (
        f"AWS refuses {call.action} on {call.resource} ({call.code}). {_REMEDIES.get(call.code, 'Fix what AWS names')}"
    )


_RULES: tuple[Callable[[FailedCall], str | None], ...] = (
    _clock,
    _key,
    _not_enabled,
    _not_handed_out,
    _denied,
    _credentials,
    _refused,
)
"""What may be wrong, the most specific rule first."""

_SOURCES = {
    "sts": "Correct the role, its session name and its session policies",
    "sso": "Assign the user to that account and permission set in IAM Identity Center. Or correct sso_account_id, "
    "sso_role_name and sso_region",
    "sso-oauth": "Sign in again with aws sso login, or correct the sso_session",
    "signin": "Sign in again with aws login, or correct the login_session",
}
"""What a person can do if no credentials are handed out, by the service that should hand them out."""

_REMEDIES = {
    "HierarchyLevelLimitExceededException": "Shorten config_prefix: a parameter's path has 15 levels at most",
    "HierarchyTypeMismatchException": "Create the parameter again, as a String",
    "IncompatiblePolicyException": "Correct the parameter's policies",
    "InvalidAllowedPatternException": "Correct the parameter's allowed pattern",
    "InvalidKeyId": "Enable the parameter's KMS key, or create the parameter again with another one",
    "InvalidPolicyAttributeException": "Correct the parameter's policies",
    "InvalidPolicyTypeException": "Correct the parameter's policies",
    "ParameterLimitExceeded": "Delete parameters that nobody needs, or let AWS raise the account's limit",
    "ParameterMaxVersionLimitExceeded": "Move the label of the parameter's oldest version to a newer one: SSM "
    "keeps 100 versions, and deletes none that has a label",
    "ParameterPatternMismatchException": "Let the parameter's allowed pattern match the JSON with the new AMI id",
    "PoliciesLimitExceededException": "Remove policies of the parameter: it has 10 at most",
    "UnsupportedParameterType": "Create the parameter again, as a String",
}
"""What a person can do about a refusal, by code."""

_GUARDRAILS: dict[str, Callable[[FailedCall], str]] = {
    "service control policy": lambda _: "Whoever administers the AWS organization must change that policy",
    "resource control policy": lambda _: "Whoever administers the AWS organization must change that policy",
    "permissions boundary": lambda call: f"Change the permissions boundary of {call.identity}",
    "session policy": lambda call: (
        f"Change the session policy with which the role is assumed (assume_role_kwargs in {call.connection})"
    ),
    "vpc endpoint policy": lambda _: "Change the policy of the VPC endpoint through which the worker calls",
    "role trust policy": lambda call: f"Let the trust policy of the role name {call.identity}",
    "resource-based policy": lambda _: "Change the policy of that resource; a KMS key's is its key policy",
}
"""How to change the policies that the identity's own policy cannot override, by AWS's name for their kind."""
