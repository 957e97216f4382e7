"""Pages as unpleasant as the service's contract allows.

The order is one that no client can rely on. The first page is half full and the second one is empty, although both
have a token if there is more. A listing that fits into the first page has only that page.
"""

import base64
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import TypeVar

from spot_runner_provider.embedded.imagebuilder.exceptions import InvalidPaginationToken, InvalidRequest

PAGE_SIZE = 25
MAX_RESULTS = 100

T = TypeVar("T")


def page_of(
    items: Mapping[str, T], listing: str, max_results: int | None, token: str | None
) -> tuple[list[T], str | None]:
    """Return one page of ``items`` (by ARN) and the token of the next page, if there is one.

    :param listing: what is listed; a token is only valid for the listing that returned it
    :param max_results: 1 to 100; a page never has more than 25 items
    :raises InvalidRequest: for any other ``max_results``
    :raises InvalidPaginationToken: for a token that this listing did not return

    >>> items = {f"arn:{number}": number for number in range(60)}
    >>> page, token = page_of(items, "images", 25, None)
    >>> rest, token = page_of(items, "images", 25, token)
    >>> len(page), len(rest), token is None
    (13, 0, False)
    >>> page_of(items, "pipelines", 25, token)
    Traceback (most recent call last):
        ...
    spot_runner_provider.embedded.imagebuilder.exceptions.InvalidPaginationToken: InvalidPaginationTokenException:
    The provided pagination token is invalid.
    """
    if max_results is not None and not 1 <= max_results <= MAX_RESULTS:
        raise InvalidRequest(f"maxResults must be between 1 and {MAX_RESULTS}.")
    number, after = _read_token(listing, token) if token is not None else (0, "")
    size = min(max_results or PAGE_SIZE, PAGE_SIZE)
    if number < 2:
        size = (size + 1) // 2 if number == 0 else 0
    rest = sorted((place, arn) for arn in items if (place := _digest(arn)) > after)
    page = rest[:size]
    last = page[-1][0] if page else after
    next_token = _write_token(listing, number + 1, last) if len(page) < len(rest) else None
    return [items[arn] for _, arn in page], next_token


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _write_token(listing: str, number: int, after: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([_digest(listing), number, after]).encode()).decode()


def _read_token(listing: str, token: str) -> tuple[int, str]:
    try:
        owner, number, after = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError):
        raise InvalidPaginationToken() from None
    if owner != _digest(listing):
        raise InvalidPaginationToken()
    return number, after
