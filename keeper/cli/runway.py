"""What only a look at the chain can tell an operator: how long the gas money lasts, and how the endpoints stand."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from keeper.strategy.runway import Runway, forecast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keeper.app import App
    from keeper.chain.health import EndpointStatus
    from keeper.domain.money import Address
    from keeper.ports import Chain

__all__ = ["endpoint_line", "endpoints_of", "lasts", "runway_of"]

#: More compounds than an account has in a month.
_ENOUGH = 10_000


def runway_of(app: App, chain: str, owner: Address) -> Runway:
    """Forecast for one account, its balance asked now."""
    context = app.contexts[chain]
    harvests = [h for h in app.store.harvests(limit=_ENOUGH) if (h.chain, h.owner) == (chain, owner)]
    now = max(int(time.time()), context.chain.head().timestamp)
    return forecast(context.chain.balance(owner), harvests, app.store.tracks(chain, owner), now)


def lasts(found: Runway) -> str:
    """Spell it: ``lasts about 19 days at this month's rate``."""
    if found.days is None:
        return "lasts for a time that is not known yet"
    if found.days > 3_650:
        return "lasts for more than ten years at this month's rate"
    return f"lasts about {found.days:,} day{'' if found.days == 1 else 's'} at this month's rate"


def endpoints_of(chain: Chain) -> Sequence[EndpointStatus]:
    """Say how the chain's endpoints stand, where it can say."""
    status = getattr(chain, "status", None)
    return status() if status is not None else ()


def endpoint_line(endpoint: EndpointStatus) -> str:
    """Spell how one endpoint stands."""
    if endpoint.wrong_chain_id is not None:
        return f"{endpoint.endpoint} is not used: it is of chain {endpoint.wrong_chain_id}"
    head = "" if endpoint.head is None else f" at block {endpoint.head:,}"
    lag = f", {endpoint.lag} blocks behind" if endpoint.lag else ""
    if endpoint.healthy:
        return f"{endpoint.endpoint} answers{head}{lag}"
    again = f"; looked at again in {endpoint.paused_seconds} s" if endpoint.paused_seconds else ""
    why = f": {endpoint.error}" if endpoint.error else ""
    return f"{endpoint.endpoint} is set aside{head}{lag}{again}{why}"
