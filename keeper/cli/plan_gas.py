"""What a compound costs, for ``keeper plan``: as told, or by the live price of gas of a configured chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from keeper.domain.money import Address, Token, UsdWad

if TYPE_CHECKING:
    from keeper.cli import Globals
    from keeper.config.loader import Loaded
    from keeper.domain.block import BlockRef
    from keeper.ports import Chain, PriceSource, PriceSpec

__all__ = ["Bill", "bill_of", "typical_gas"]

#: Gas of a compound where nothing better is known: a claim, a swap and a deposit with their approvals.
_TYPICAL: Final = 600_000


@dataclass(frozen=True, slots=True)
class Bill:
    """What one compound costs; the parts are there when it was reckoned from gas."""

    cost: UsdWad
    units: int | None = None
    price_wei: int | None = None
    native_usd: UsdWad | None = None
    #: Block of a configured chain that the price of gas is of.
    block: BlockRef | None = None

    def price_at(self, cost: int) -> int | None:
        """Return the price of gas at which a compound costs that much, wei; ``None`` when it was not made of gas."""
        if self.units is None or self.native_usd is None:
            return None
        return cost * 10**18 // (self.native_usd * self.units)


def bill_of(
    options: Globals,
    *,
    cost: UsdWad | None,
    price_wei: int | None,
    units: int | None,
    native_usd: UsdWad | None,
    chain: str | None,
    protocol: str | None,
) -> Bill:
    """Work the cost out from whatever was given.

    Raises:
        click.UsageError: too little was given, or two things that exclude each other.
        ConfigError: the chain is not in the config.
    """
    gas = (price_wei, units, native_usd, chain, protocol)
    if cost is not None:
        if any(each is not None for each in gas):
            raise click.UsageError("--cost says it all; leave the gas options away, or leave --cost away")
        return Bill(cost)
    if units is None and protocol is not None:
        units = typical_gas(protocol)
    block = None
    if chain is not None:
        block, live_wei, live_usd = _live(options, chain, want_usd=native_usd is None)
        price_wei, native_usd = price_wei or live_wei, native_usd or live_usd
    if units is None:
        units = _TYPICAL if chain is not None else None
    missing = [
        name
        for name, value in (("--gas-price", price_wei), ("--gas-units", units), ("--native-price", native_usd))
        if value is None
    ]
    if missing or price_wei is None or units is None or native_usd is None:
        ways = "give --cost (dollars a compound), or --chain NAME, or all of --gas-price, --gas-units, --native-price"
        raise click.UsageError(f"what does a compound cost? {' and '.join(missing)} missing; {ways}")
    return Bill(UsdWad(-(-units * price_wei * native_usd // 10**18)), units, price_wei, native_usd, block)


def typical_gas(protocol: str) -> int:
    """Return the gas of a compound as seen on the protocol's real code.

    Raises:
        click.BadParameter: no such protocol, with the nearest name.
    """
    from difflib import get_close_matches

    from keeper.config.plugins import discover

    found = discover("keeper.protocols").found
    if protocol not in found:
        close = get_close_matches(protocol, found, n=1, cutoff=0.4)
        hint = f'did you mean "{close[0]}"?' if close else f"installed: {', '.join(sorted(found))}"
        raise click.BadParameter(f'no protocol "{protocol}"; {hint}', param_hint="--protocol")
    return int(getattr(found[protocol], "typical_gas", _TYPICAL))


def _live(options: Globals, name: str, *, want_usd: bool) -> tuple[BlockRef, int, UsdWad | None]:
    """Ask a configured chain for its newest block, its price of gas, and what its gas token is worth."""
    from keeper.chain.client import open_chain
    from keeper.cli.options import load_config
    from keeper.cli.session import open_session, quiet
    from keeper.errors import ConfigError

    loaded = load_config(options, secrets=False)
    facts = loaded.chain_facts(name)
    urls = loaded.settings.chains[name].rpc
    if not urls:
        raise ConfigError(f'chains.{name}.rpc: no endpoint is configured; write rpc = ["$MY_RPC_URL"]')
    with open_session(loaded, level=quiet(loaded, options.overrides)) as session:
        chain = open_chain(facts, urls, events=session.events, quorum=loaded.quorum(name))
        try:
            block, fees = chain.head(), chain.fees()
            worth = _native_usd(loaded, chain, block) if want_usd else None
            return block, fees.price_wei, worth
        finally:
            chain.close()


def _native_usd(loaded: Loaded, chain: Chain, block: BlockRef) -> UsdWad | None:
    """Return the first price that a source of the gas token gives; good enough to plan by, not to sign by."""
    from keeper.config.plugins import discover

    facts = chain.facts
    token = Token(facts.name, facts.wrapped_native, facts.native_symbol, 18)
    sources = discover("keeper.prices").found
    for spec in loaded.price_specs().get((facts.name, Address(facts.wrapped_native)), ()):
        if spec.kind in sources and (found := _quote(sources[spec.kind], spec, token, chain, block)) is not None:
            return found
    return None


def _quote(source: PriceSource, spec: PriceSpec, token: Token, chain: Chain, block: BlockRef) -> UsdWad | None:
    from keeper.engine.converse import converse
    from keeper.errors import KeeperError

    learnt = converse(chain, block, {"": source.resolve(spec, token)})[""]
    if isinstance(learnt, KeeperError) or source.needs(spec, token, learnt):
        return None
    try:
        answers = chain.read(source.reads(spec, token, learnt), block)
        return source.quote(spec, token, learnt, answers, block, {}).usd
    except KeeperError:
        return None
