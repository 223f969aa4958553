"""The work of ``keeper discover``: one chain's places, the logs where they are asked for, and what is configured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from keeper.domain.facts import Place
from keeper.domain.money import Address, UsdWad
from keeper.domain.spec import PriceSpec
from keeper.engine.discover import Findings, Pair, confirm, find, pairs_of, prices_of
from keeper.errors import ConfigError, KeeperError

if TYPE_CHECKING:
    from keeper.chain.client import EvmChain
    from keeper.chain.logs import Scan
    from keeper.cli.session import Session
    from keeper.config.loader import Loaded
    from keeper.domain.block import BlockRef
    from keeper.engine.context import Plugins
    from keeper.ports import Found, ParamSpec

__all__ = ["Discovery", "Search", "configured_as", "search"]

#: Protocols whose shares are ERC-20 tokens minted to their holder: by its logs such a vault gives itself away.
_SHARES: Final = ("beefy", "yearn-v3", "yearn-v2", "erc4626")

#: NFTs that one conversation is given; adapters take as many.
_IDS: Final = 200

#: How an LP token is valued where the config does not say.
_PAIR_PRICE: Final = PriceSpec("uniswap-v2-lp", MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Discovery:
    """One position, and what the config knows of it."""

    found: Found
    #: US dollars (wad) by the first price there is; ``None`` where none is at hand.
    usd: UsdWad | None
    #: Id of the same position in the config.
    configured_as: str | None


@dataclass(frozen=True, slots=True)
class Search:
    """What a chain was found to hold for an account."""

    chain: str
    block: BlockRef | None
    discoveries: tuple[Discovery, ...] = ()
    problems: tuple[tuple[Place, KeeperError], ...] = ()
    unsearched: tuple[Place, ...] = ()
    #: What is to be said of the search in logs.
    logs: str = ""
    #: Why nothing could be asked of the chain at all.
    error: KeeperError | None = None


def search(
    loaded: Loaded,
    session: Session,
    plugins: Plugins,
    name: str,
    owner: Address,
    *,
    protocols: Sequence[str] = (),
    from_block: int | None = None,
) -> Search:
    """Look through every place of a chain; ``from_block`` also through the logs since then. Errors are in the answer.

    Raises:
        ConfigError: when the chain has no endpoint.
    """
    from keeper.chain.client import open_chain

    urls = loaded.settings.chains[name].rpc
    if not urls:
        raise ConfigError(f'chains.{name}.rpc: no endpoint is configured; write rpc = ["$MY_RPC"], or give --rpc')
    facts = loaded.chain_facts(name)
    places = [place for place in facts.places if not protocols or place.protocol in protocols]
    with closing(open_chain(facts, urls, events=session.events, quorum=loaded.quorum(name))) as chain:
        try:
            block = chain.head()
            findings = find(chain, block, plugins.protocols, places, owner)
            said = ""
            if from_block is not None:
                findings, said = _with_logs(chain, block, plugins, findings, places, owner, from_block, protocols)
            return _search(loaded, chain, block, plugins, findings, owner, said)
        except KeeperError as error:
            return Search(name, None, error=error)


def _search(
    loaded: Loaded, chain: EvmChain, block: BlockRef, plugins: Plugins, findings: Findings, owner: Address, said: str
) -> Search:
    name = chain.facts.name
    staked = [one.staked.token for one in findings.found]
    pairs = pairs_of(chain, block, staked)
    specs = {token: given for (where, token), given in loaded.price_specs().items() if where == name}
    specs = {token: (_PAIR_PRICE,) for token, pair in pairs.items() if not pair.stable} | specs
    sides = [side for pair in pairs.values() for side in pair.sides]
    prices = prices_of(chain, block, plugins.prices, specs, [*staked, *sides])
    discoveries = tuple(
        Discovery(
            _named(one, pairs), _worth(one, prices), configured_as(loaded, name, one, owner, _params(plugins, one))
        )
        for one in findings.found
    )
    return Search(name, block, discoveries, findings.problems, findings.unsearched, said)


def _named(found: Found, pairs: Mapping[Address, Pair]) -> Found:
    """Say which pair an LP token is of: their tickers are all the same."""
    pair = pairs.get(found.staked.token.address)
    if pair is None or pair.name in found.label:
        return found
    return replace(found, label=f"{found.label or found.staked.token.symbol} ({pair.name})")


def _worth(found: Found, prices: Mapping[Address, UsdWad]) -> UsdWad | None:
    price = prices.get(found.staked.token.address)
    return None if price is None else UsdWad(found.staked.raw * price // found.staked.token.unit)


def _params(plugins: Plugins, found: Found) -> Mapping[str, ParamSpec]:
    return plugins.protocols[found.place.protocol].params


def configured_as(
    loaded: Loaded, chain: str, found: Found, owner: Address, params: Mapping[str, ParamSpec]
) -> str | None:
    """Return the id under which the config has a position already; optional keys that it leaves out do not matter."""
    for position in loaded.settings.positions:
        same = (position.chain, position.protocol, position.target) == (chain, found.place.protocol, found.target)
        if not same or loaded.owner_of(position) not in (owner, None):
            continue
        needed = {key for key in found.params if key in position.params or params[key].required}
        if all(position.params.get(key) == found.params[key] for key in needed):
            return position.id
    return None


# ---------------------------------------------------------------------------- logs


def _with_logs(
    chain: EvmChain,
    block: BlockRef,
    plugins: Plugins,
    findings: Findings,
    places: Sequence[Place],
    owner: Address,
    from_block: int,
    protocols: Sequence[str],
) -> tuple[Findings, str]:
    """Add what cannot be enumerated: NFTs by their ids, shares of vaults that no place names."""
    from keeper.chain.logs import received

    def ask(wanted: Mapping[str, Any]) -> Any:
        return chain.pool.call("eth_getLogs", [wanted])

    managers = {place.target: place for place in places if _by_number(plugins, place)}
    shares = [name for name in _SHARES if name in plugins.protocols and (not protocols or name in protocols)]
    guessed: list[Place] = []
    told: list[str] = []
    if managers:
        scan = received(ask, owner, first=from_block, last=block.number, contracts=tuple(managers))
        guessed += _numbered(scan, managers, findings.found)
        told.append(_told("NFTs", scan, from_block))
    if shares:
        scan = received(ask, owner, first=from_block, last=block.number, minted=True)
        known = {one.target for one in findings.found}
        minted = dict.fromkeys(t.contract for t in scan.transfers if t.token_id is None and t.contract not in known)
        guessed += [Place(name, "by its logs", contract) for contract in minted for name in shares]
        told.append(_told("shares", scan, from_block))
    return _merged(chain, block, plugins, findings, guessed, owner), "; ".join(told)


def _by_number(plugins: Plugins, place: Place) -> bool:
    """Whether no view lists this place's NFTs, so that their numbers must be known before they can be asked for."""
    return "ids" in getattr(plugins.protocols.get(place.protocol), "place_params", {})


def _numbered(scan: Scan, managers: Mapping[Address, Place], found: Iterable[Found]) -> list[Place]:
    """Name the NFTs that were received and are not found yet, so many in a place."""
    known = {(one.target, one.params.get("token_id")) for one in found}
    received = dict.fromkeys((t.contract, t.token_id) for t in scan.transfers if t.token_id is not None)
    places = []
    for contract, place in managers.items():
        ids = [str(number) for where, number in received if where == contract and (where, number) not in known]
        for start in range(0, len(ids), _IDS):
            params = {**place.params, "ids": ",".join(ids[start : start + _IDS])}
            places.append(replace(place, params=params))
    return places


def _merged(
    chain: EvmChain,
    block: BlockRef,
    plugins: Plugins,
    findings: Findings,
    guessed: Sequence[Place],
    owner: Address,
) -> Findings:
    """Ask guessed places too: a contract that is several protocols' counts as the first one that recognises it."""
    more = find(chain, block, plugins.protocols, guessed, owner)
    sure = confirm(chain, block, plugins.protocols, more.found, owner)
    rank = {name: index for index, name in enumerate(_SHARES)}
    added: dict[tuple[Address, object], Found] = {}
    for one in sorted(sure.found, key=lambda one: rank.get(one.place.protocol, -1)):
        added.setdefault((one.target, one.params.get("token_id", one.params.get("pid"))), one)
    have = {(one.place.protocol, one.target, tuple(sorted(one.params.items()))) for one in findings.found}
    fresh = [
        one for one in added.values() if (one.place.protocol, one.target, tuple(sorted(one.params.items()))) not in have
    ]
    return replace(findings, found=(*findings.found, *fresh), problems=(*findings.problems, *sure.problems))


def _told(what: str, scan: Scan, from_block: int) -> str:
    if not scan.stopped:
        return f"{what}: logs since block {from_block:,} in {scan.requests} requests"
    return f"{what}: logs only back to block {scan.reached:,} ({scan.stopped}); --from-block narrows the search"
