"""``keeper positions``: the configured positions, and what their contracts were found to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from keeper.cli import Globals
from keeper.cli.journal import configured
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import address_long, emit_json, say, table
from keeper.errors import KeeperError

if TYPE_CHECKING:
    from keeper.config.loader import Loaded
    from keeper.config.models import PositionConfig
    from keeper.engine.book import Book

__all__ = ["command"]


@click.command(name="positions")
@click.option("--live", is_flag=True, help="Ask the contracts: tokens, routes, side effects.")
@json_option
@click.pass_context
def command(ctx: click.Context, live: bool) -> None:
    """List the configured positions."""
    options = globals_of(ctx)
    loaded = load_config(options, secrets=False)
    entries = [_entry(loaded, position) for position in configured(loaded)]
    if live:
        found = _resolved(loaded, options)
        entries = [entry | {"contracts": found[str(entry["id"])]} for entry in entries]
    if options.json:
        emit_json("keeper.positions/1", {"positions": entries})
        return
    headers = ("position", "chain", "protocol", "owner", "target", "signer")
    table(headers, [tuple(str(entry[key] or "-") for key in ("id", *headers[1:])) for entry in entries])
    for entry in entries:
        if live:
            _print_contracts(str(entry["id"]), entry["contracts"])


def _entry(loaded: Loaded, position: PositionConfig) -> dict[str, Any]:
    owner = loaded.owner_of(position)
    return {
        "id": position.id,
        "chain": position.chain,
        "protocol": position.protocol,
        "owner": address_long(owner) if owner else None,
        "target": address_long(position.target),
        "signer": position.signer,
        "params": position.params,
        "route": ", ".join(dict.fromkeys(route.kind for route in position.routes)) or None,
    }


def _resolved(loaded: Loaded, options: Globals) -> dict[str, dict[str, Any]]:
    from keeper.cli.session import looking

    with looking(loaded, options.overrides) as app:
        return {p.id: _contracts(app.book(p.chain), p.id) for p in app.positions}


def _contracts(book: Book, position_id: str) -> dict[str, Any]:
    try:
        holding = book.holding(position_id)
    except KeeperError as error:
        return {"error": str(error)}
    market = holding.market
    return {
        "error": None,
        "stakes": market.stake_token.symbol,
        "made_of": [token.symbol for token in market.stake_parts],
        "pays": [token.symbol for token in market.reward_tokens],
        "sells": [" > ".join(token.symbol for token in sale.route.path) for sale in holding.sales],
        "side_effects": sorted(effect.value for effect in market.side_effects),
        "addresses": {name: address_long(found) for name, found in market.contracts.items()},
    }


def _print_contracts(position_id: str, found: dict[str, Any]) -> None:
    if found["error"]:
        say(f"{position_id}: cannot be resolved: {found['error']}")
        return
    parts = f" ({'/'.join(found['made_of'])})" if found["made_of"] else ""
    sells = f", sold {', '.join(found['sells'])}" if found["sells"] else ""
    effects = f"; {', '.join(effect.replace('_', ' ') for effect in found['side_effects'])}"
    pays = f", pays {', '.join(found['pays'])}" if found["pays"] else ""
    say(f"{position_id}: stakes {found['stakes']}{parts}{pays}{sells}{effects}")
