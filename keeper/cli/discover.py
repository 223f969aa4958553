"""``keeper discover``: the positions that an account has in known protocols, and the config blocks to watch them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import address_long, amount, emit_json, jsonable, say, table, usd, usd_text
from keeper.errors import ConfigError

if TYPE_CHECKING:
    from keeper.cli import Globals
    from keeper.cli.discovering import Discovery, Search
    from keeper.config.appending import NewPosition
    from keeper.config.loader import Loaded
    from keeper.domain.money import Address

__all__ = ["command"]


@click.command(name="discover")
@click.argument("address", metavar="ADDRESS")
@click.option("--chain", "chains", multiple=True, metavar="NAME", help="Chain to look on; all configured ones without.")
@click.option("--protocol", "protocols", multiple=True, metavar="NAME", help="Only this protocol; may be repeated.")
@click.option("--rpc", metavar="URL", help="Endpoint to ask instead of the config's; needs no config file.")
@click.option("--logs", is_flag=True, help="Search Transfer logs too, for NFTs and shares that no view lists.")
@click.option("--from-block", type=click.IntRange(min=0), default=0, metavar="N", help="Oldest block of that search.")
@click.option("--write", is_flag=True, help="Add what is found to the config file.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    address: str,
    chains: tuple[str, ...],
    protocols: tuple[str, ...],
    rpc: str | None,
    logs: bool,
    from_block: int,
    write: bool,
) -> None:
    """Find the positions of ADDRESS (or of a signer of the config) in known farms, pools, gauges and vaults.

    Asks the chain alone, needs no key, and sends nothing.
    """
    from keeper.app import load_plugins
    from keeper.cli.discovering import search
    from keeper.cli.session import open_session, quiet

    options = globals_of(ctx)
    loaded = _config(options, chains, rpc)
    owner, names = _account(loaded, address), _chains(loaded, chains)
    plugins = load_plugins()
    if unknown := sorted(set(protocols) - set(plugins.protocols)):
        raise ConfigError(f"no such protocol: {', '.join(unknown)}; `keeper protocols` lists all")
    with open_session(loaded, level=quiet(loaded, options.overrides)) as session:
        since = from_block if logs else None
        searches = [
            search(loaded, session, plugins, name, owner, protocols=protocols, from_block=since) for name in names
        ]
    errors = [one.error for one in searches if one.error is not None]
    if len(errors) == len(searches):
        raise errors[0]
    new = _new_positions(loaded, searches, owner)
    written = _write(options, loaded, [position for _, position in new]) if write and new else None
    if options.json:
        emit_json("keeper.discover/1", _document(owner, searches, new, written))
    else:
        _print(owner, searches, new, written)


# ---------------------------------------------------------------------------- what is asked


def _config(options: Globals, chains: Sequence[str], rpc: str | None) -> Loaded:
    """Load the config; with ``--rpc`` also where there is none, or where it lacks the chain."""
    if rpc is None:
        return load_config(options, secrets=False)
    import os

    from keeper.config.loader import load
    from keeper.config.plugins import installed_catalogue

    if len(chains) != 1:
        raise ConfigError("--rpc needs exactly one --chain: the endpoint is asked about that one")
    return load(
        [Path(file) for file in options.config],
        env={**os.environ, f"KEEPER_CHAINS__{chains[0]}__RPC": rpc},
        overrides=options.overrides,
        catalogue=installed_catalogue(),
        secrets=False,
    )


def _account(loaded: Loaded, text: str) -> Address:
    from keeper.config.fields import parse_address

    if text in loaded.settings.signers:
        found = loaded.settings.signers[text].address
        if found is None:
            raise ConfigError(f'signers.{text}: whose key this is stands nowhere\n  write address = "0x..." beside it')
        return found
    try:
        return parse_address(text)
    except ValueError as error:
        named = ", ".join(loaded.settings.signers) or "none"
        raise ConfigError(f"{text} {error}; nor is it a signer of the config ({named})") from None


def _chains(loaded: Loaded, asked: Sequence[str]) -> list[str]:
    configured = loaded.settings.chains
    for name in asked:
        if name not in configured:
            known = ", ".join(configured) or "none"
            raise ConfigError(
                f'no chain {name!r} in this config (chains: {known}); add [chains.{name}] with rpc = ["$MY_RPC"], '
                "or give --rpc URL"
            )
    names = list(dict.fromkeys(asked)) or [name for name, chain in configured.items() if chain.rpc]
    if not names:
        raise ConfigError("no chain with an endpoint is configured; give --chain NAME --rpc URL")
    return names


# ---------------------------------------------------------------------------- what goes into the config


def _new_positions(loaded: Loaded, searches: Iterable[Search], owner: Address) -> list[tuple[Discovery, NewPosition]]:
    """Make a block of everything that is not configured yet."""
    from keeper.config.appending import NewPosition, unused_id

    signer = next((name for name, signer in loaded.settings.signers.items() if signer.address == owner), None)
    taken = {position.id for position in loaded.settings.positions}
    new = []
    for one in searches:
        for discovery in one.discoveries:
            found = discovery.found
            if discovery.configured_as is not None:
                continue
            words = [found.place.protocol if found.place.name == "by its logs" else found.place.name, _which(discovery)]
            remark = (
                f"{found.place.name}: {found.label or found.staked.token.symbol}; {amount(found.staked)} when found"
            )
            block = NewPosition(
                id=unused_id(words, taken),
                chain=one.chain,
                protocol=found.place.protocol,
                target=found.target,
                params=found.params,
                owner=None if signer else owner,
                signer=signer,
                remark=remark,
            )
            new.append((discovery, block))
    return new


def _which(discovery: Discovery) -> str:
    """Say what tells a position from others of its place: its number, else its token."""
    params = discovery.found.params
    number = next((params[key] for key in ("pid", "token_id", "index") if key in params), None)
    return str(number) if number is not None else discovery.found.staked.token.symbol


def _write(options: Globals, loaded: Loaded, new: Sequence[NewPosition]) -> Path:
    from keeper.config.appending import append
    from keeper.config.loader import load
    from keeper.config.plugins import installed_catalogue

    catalogue = installed_catalogue()

    def check(files: Sequence[Path]) -> object:
        return load(files, overrides=options.overrides, catalogue=catalogue, secrets=False)

    return append(loaded.files, [position.block() for position in new], check)


# ---------------------------------------------------------------------------- what is shown


def _document(
    owner: Address,
    searches: Sequence[Search],
    new: Sequence[tuple[Discovery, NewPosition]],
    written: Path | None,
) -> dict[str, Any]:
    blocks = {id(discovery): position for discovery, position in new}
    return {
        "address": address_long(owner),
        "chains": [_chain(one, blocks) for one in searches],
        "written": None if written is None else str(written),
    }


def _chain(one: Search, blocks: dict[int, NewPosition]) -> dict[str, Any]:
    return {
        "chain": one.chain,
        "block": one.block.number if one.block else None,
        "found": [_entry(discovery, blocks.get(id(discovery))) for discovery in one.discoveries],
        "problems": [
            {"protocol": place.protocol, "place": place.name, "target": address_long(place.target), "problem": str(e)}
            for place, e in one.problems
        ],
        "unsearched": [
            {"protocol": place.protocol, "place": place.name, "target": address_long(place.target)}
            for place in one.unsearched
        ],
        "logs": one.logs or None,
        "error": str(one.error) if one.error else None,
    }


def _entry(discovery: Discovery, position: NewPosition | None) -> dict[str, Any]:
    found = discovery.found
    return {
        "protocol": found.place.protocol,
        "place": found.place.name,
        "label": found.label,
        "target": address_long(found.target),
        "params": dict(found.params),
        "staked": jsonable(found.staked),
        "value_usd": None if discovery.usd is None else usd_text(discovery.usd),
        "configured_as": discovery.configured_as,
        "block": position.block() if position else None,
    }


def _print(
    owner: Address,
    searches: Sequence[Search],
    new: Sequence[tuple[Discovery, NewPosition]],
    written: Path | None,
) -> None:
    rows = [_row(one.chain, discovery) for one in searches for discovery in one.discoveries]
    if rows:
        table(("place", "position", "staked", "value", "protocol", "chain", "configured as"), rows, right=(2, 3))
    else:
        say(f"nothing found for {address_long(owner)} on {', '.join(one.chain for one in searches)}")
    for one in searches:
        _print_remarks(one)
    if written is not None:
        say(f"\nadded to {written}: {', '.join(position.id for _, position in new)}")
    elif new:
        say("\nFor the config (or run again with --write):\n")
        say("\n".join(position.block() for _, position in new).rstrip("\n"))


def _row(chain: str, discovery: Discovery) -> tuple[str, ...]:
    found = discovery.found
    value = "-" if discovery.usd is None else usd(discovery.usd)
    label = found.label or found.staked.token.symbol
    named = discovery.configured_as or "-"
    return (found.place.name, label, amount(found.staked), value, found.place.protocol, chain, named)


def _print_remarks(one: Search) -> None:
    for place, error in one.problems:
        say(f"{one.chain}: {place.name} ({place.protocol}, {address_long(place.target)}) was not searched: {error}")
    if one.unsearched:
        names = ", ".join(dict.fromkeys(place.name for place in one.unsearched))
        say(f"{one.chain}: no way to search {names}")
    if one.logs:
        say(f"{one.chain}: {one.logs}")
    if one.error is not None:
        say(f"{one.chain}: not searched: {one.error}")
