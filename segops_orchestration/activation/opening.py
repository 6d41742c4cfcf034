"""From a connector in the catalogue to its platform, ready to be called."""

from __future__ import annotations

from collections.abc import Callable

from segops_orchestration.activation.limiter import limiters
from segops_orchestration.activation.platform import Connection, Platform
from segops_orchestration.activation.platforms import PLATFORMS, make_platform
from segops_orchestration.activation.safe_targets import private_targets_allowed
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.connector_records import Connector
from segops_orchestration.errors import SegOpsError


def require_type(connector: Connector) -> type[Platform]:
    """The class of a connector's type.

    Raises:
        SegOpsError: this version of segops has no such type.
    """
    if connector.type not in PLATFORMS:
        raise SegOpsError(
            f"connector {connector.slug!r} of tenant {connector.tenant!r} is of type {connector.type!r}, which this"
            f" version of segops does not have; it has {', '.join(sorted(PLATFORMS))}"
        )
    return PLATFORMS[connector.type]


def open_platform(
    catalog: Catalog,
    connector: Connector,
    before_request: Callable[[], None] | None = None,
    *,
    patience_seconds: float | None = None,
) -> Platform:
    """The platform, with its secrets decrypted and its rate shared with all processes.

    ``patience_seconds`` is how long a call is tried; None is what suits a sync.

    Raises:
        SegOpsError: no such type, or the secrets cannot be decrypted.
    """
    kind = require_type(connector)
    defaults = {each.name: each.default for each in kind.fields if not each.secret}
    return make_platform(
        Connection(
            tenant=connector.tenant,
            connector_id=connector.id,
            connector=connector.slug,
            segment_id=connector.segment_id,
            segment=connector.segment,
            segment_name=connector.segment_name,
            type=connector.type,
            config={**defaults, **connector.config},
            secrets=catalog.connectors.secrets(connector),
            limiter=limiters(catalog.connectors.reserve_permits, catalog.connectors.hold_permits),
            before_request=before_request or _nothing_to_check,
            allow_private_targets=private_targets_allowed(),
            patience_seconds=patience_seconds,
        )
    )


def _nothing_to_check() -> None:
    """Nobody may take the connector away: no lease is held."""
