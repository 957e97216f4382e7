"""Asset events: how promotions reach Airflow, through an asset alias among a task's outlets."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS
from airflow.providers.common.compat.sdk import Asset, AssetAlias

from spot_runner_provider.records.text import shown
from spot_runner_provider.reporting.promotion import ALIAS, Promotion

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)


class UnknownAlias(LookupError):
    """Airflow 2 has not yet parsed a DAG with this alias."""


def with_alias(outlets: Iterable[Any] | None) -> list[Any]:
    """Return a task's outlets, with the default alias added if they have no alias.

    >>> [alias.name for alias in with_alias(None)], [alias.name for alias in with_alias([AssetAlias("team-a")])]
    (['spot-runner'], ['team-a'])
    """
    given = list(outlets or ())
    return given if _aliases(given) else [*given, AssetAlias(ALIAS)]


def add(promotion: Promotion, outlets: Iterable[Any], context: Context) -> None:
    """Let Airflow send the event when the task succeeds.

    :param outlets: the task's; the event goes through each asset alias among them.
    :param context: the task's.
    :raises UnknownAlias: if Airflow 2 does not know the alias. It would otherwise fail the task at its end.

    >>> promotion = Promotion("spot-runner://123456789012/us-east-1/linux-x64", {"amiId": "ami-0e3f"})
    >>> add(promotion, [], context)  # no alias, no event
    """
    for alias in _aliases(outlets):
        if not AIRFLOW_V_3_0_PLUS:
            _check_known(alias)
        context["outlet_events"][alias].add(Asset(uri=promotion.uri), extra=promotion.extra)


def add_each(promotions: Iterable[Promotion], outlets: Iterable[Any], context: Context) -> None:
    """Let Airflow send each event that it can send; the others are only logged, so that the task does not fail.

    >>> add_each([Promotion("spot-runner://123456789012/us-east-1/linux-x64", {"amiId": "ami-0e3f"})], [], context)
    """
    for promotion in promotions:
        try:
            add(promotion, outlets, context)
        except Exception as error:
            preset_name = promotion.extra["presetName"]
            log.warning("preset %s: no asset event for its new AMI: %s", preset_name, shown(str(error)))


def _aliases(outlets: Iterable[Any]) -> list[Any]:
    return [outlet for outlet in outlets if isinstance(outlet, AssetAlias)]


def _check_known(alias: Any) -> None:
    from airflow.models.dataset import DatasetAliasModel  # type: ignore[import-not-found]
    from airflow.utils.session import create_session

    with create_session() as session:
        if not session.query(DatasetAliasModel).filter_by(name=alias.name).count():
            raise UnknownAlias(f"Airflow does not know the alias {alias.name!r} until it has parsed a DAG with it")
