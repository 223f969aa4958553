"""Checks what the strategy's options refer to: policies, batches, candidates, accounts to pay, feeds to report by."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from keeper.config import models
from keeper.config.chains import merge
from keeper.config.checks import Parts
from keeper.config.keystores import keystore_address
from keeper.config.problems import Problems
from keeper.config.schema import Path, nearest
from keeper.config.sources import Layers
from keeper.domain.money import Address

if TYPE_CHECKING:
    from keeper.config.loader import Loaded

__all__ = ["check_strategy", "payout_clash", "unknown_policies"]

#: A policy that needs no entry: harvest at so many times the cost.
_MULTIPLE: Final = re.compile(r"r>\d{0,9}(\.\d{1,3})?g\Z")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")


def check_strategy(layers: Layers, problems: Problems, parts: Parts, policies: frozenset[str] | None) -> None:
    """Check names and numbers that must fit together; ``policies`` are the known ones, ``None`` checks no policy."""
    for section in ("policies", "batches"):
        for name in _tables(layers, section):
            if not _NAME.match(name):
                problems.add((section, name), "must be named with lower-case letters, digits, dashes and _, at most 63")
    if policies is not None:
        own = [name for name in _tables(layers, "policies") if name not in parts.policy_params]
        _policies(problems, policies, own, _chosen(parts))
    _batches(problems, parts, _tables(layers, "batches"))
    _candidates(layers, problems, parts)
    _intervals(problems, parts)
    _payouts(problems, parts)
    _top_ups(problems, parts)
    _report(problems, parts)


def unknown_policies(loaded: Loaded, known: Collection[str]) -> list[str]:
    """List every policy that is configured and not known, and every one of one's own that takes a known name.

    Args:
        loaded: the config.
        known: names of keeper's own policies and of installed plugins.

    Returns:
        Problems as ``ConfigError`` takes them, with file and key; empty when there are none.
    """
    problems, settings = Problems(loaded.layers), loaded.settings
    chosen: dict[Path, str] = {("strategy", "policy"): settings.strategy.policy}
    chosen |= {("positions", at, "policy"): p.policy for at, p in enumerate(settings.positions) if p.policy is not None}
    before = len(problems.lines)
    _policies(problems, known, list(settings.policies), chosen)
    return problems.lines[before:]


def _tables(layers: Layers, section: str) -> list[str]:
    tables = layers.raw.get(section)
    return list(tables) if isinstance(tables, dict) else []


def _chosen(parts: Parts) -> dict[Path, str]:
    strategy = parts.sections.get("strategy")
    found: dict[Path, str] = {}
    if isinstance(strategy, models.StrategyConfig):
        found["strategy", "policy"] = strategy.policy
    return found | {("positions", at, "policy"): p.policy for at, p in parts.positions.items() if p.policy is not None}


def _policies(problems: Problems, known: Collection[str], own: list[str], chosen: Mapping[Path, str]) -> None:
    for name in own:
        if name in known:
            problems.add(("policies", name), "is the name of a policy that keeper or a plugin brings; choose another")
    names = sorted({*known, *own})
    for path, name in chosen.items():
        if name not in names and not _MULTIPLE.match(name):
            hint = nearest(name, names)
            advice = f'did you mean "{hint}"?' if hint else f"known: {', '.join(names)}"
            problems.add(path, f"no such policy; {advice}, or add [policies.{name}] with its command")


def _batches(problems: Problems, parts: Parts, batches: list[str]) -> None:
    for index, position in parts.positions.items():
        if position.batch is not None and position.batch not in batches:
            hint = nearest(position.batch, batches)
            advice = f'did you mean "{hint}"?' if hint else f"add [batches.{position.batch}] with its shared_cost"
            problems.add(("positions", index, "batch"), f"no such batch; {advice}")


def _candidates(layers: Layers, problems: Problems, parts: Parts) -> None:
    listed = layers.raw.get("positions")
    entries = listed if isinstance(listed, list) else []
    ids = [str(entry["id"]) for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]
    for index, position in parts.positions.items():
        for place, candidate in enumerate(position.candidates):
            path: Path = ("positions", index, "candidates", place)
            others = [known for known in ids if known != position.id]
            if candidate == position.id:
                problems.add(path, "is this position itself; name others")
            elif candidate not in ids:
                hint = nearest(candidate, others)
                advice = (
                    f'did you mean "{hint}"?' if hint else "add it under [[positions]], with owner to only watch it"
                )
                problems.add(path, f"no such position; {advice}")
            elif candidate in position.candidates[:place]:
                problems.add(path, "is named twice; once is enough")


def _intervals(problems: Problems, parts: Parts) -> None:
    for index, position in parts.positions.items():
        if position.max_interval is not None and position.max_interval < position.min_interval:
            problems.add(
                ("positions", index, "max_interval"),
                f"is below min_interval ({position.min_interval} seconds, its own or [strategy]'s): "
                "it would have to harvest when it may not",
            )


def _payouts(problems: Problems, parts: Parts) -> None:
    for index, position in parts.positions.items():
        if position.payout is None:
            continue
        owner = position.owner or _signers_account(parts, position.signer)
        what = payout_clash(position, owner) or _of_the_chain(parts, position)
        if what:
            problems.add(
                ("positions", index, "payout", "to"),
                f"is {what}: what is sent there is lost, or goes nowhere; name a wallet of yours",
            )


def payout_clash(position: models.PositionConfig, owner: Address | None) -> str:
    """Say what the account that a position pays is, where it must not be that; empty when nothing is wrong."""
    if position.payout is None:
        return ""
    to = position.payout.to
    named: dict[Address | None, str] = {
        position.target: "the position's target",
        owner: "the owner's own account",
    }
    named |= {address: f"the position's {key}" for key, address in _addresses(position)}
    for route in position.routes:
        named |= {
            **dict.fromkeys(route.via, "a token of its route"),
            **dict.fromkeys(route.pools, "a pool of its route"),
        }
        named |= {route.quoter: "its quoter", route.router: "its router"}
    return named.get(to, "")


def _addresses(position: models.PositionConfig) -> Iterator[tuple[str, Address]]:
    """The protocol's own keys that hold addresses (a token, a controller)."""
    for key, value in position.params.items():
        if isinstance(value, str) and re.fullmatch(r"0x[0-9a-fA-F]{40}", value):
            yield key, Address(value.lower())


def _of_the_chain(parts: Parts, position: models.PositionConfig) -> str:
    """Say what of its chain that the config knows the address is: a token, mostly."""
    chain, prices = parts.chains.get(position.chain), parts.sections.get("prices")
    to = position.payout.to if position.payout else None
    if chain is None:
        return ""
    facts = merge(position.chain, chain)
    tokens = {facts.wrapped_native, *facts.feeds}
    if isinstance(prices, models.PricesConfig):
        tokens |= {token.token for token in prices.tokens if token.chain == position.chain}
    if to in tokens:
        return "a token"
    contracts = {facts.multicall3, facts.sequencer_feed, *(feed.feed for feed in facts.feeds.values())} - {None}
    return "a contract that keeper reads" if to in contracts else ""


def _signers_account(parts: Parts, name: str | None) -> Address | None:
    """Return a signer's address as far as the config names it."""
    signer = parts.signers.get(name or "")
    if signer is None or signer.address is not None:
        return signer.address if signer else None
    named = keystore_address(signer.path) if isinstance(signer, models.KeystoreSigner) else None
    return Address(named.lower()) if named else None


def _top_ups(problems: Problems, parts: Parts) -> None:
    limits = parts.sections.get("limits")
    floor = limits.min_native_balance if isinstance(limits, models.LimitsConfig) else None
    for index, position in parts.positions.items():
        if position.gas_top_up is not None and floor is not None and position.gas_top_up.keep <= floor:
            problems.add(
                ("positions", index, "gas_top_up", "keep"),
                "is not above limits.min_native_balance, below which nothing is begun, so it would never buy any; "
                "raise it",
            )


def _report(problems: Problems, parts: Parts) -> None:
    report = parts.sections.get("report")
    if not isinstance(report, models.ReportConfig) or report.currency_chain is None:
        return
    chain = parts.chains.get(report.currency_chain)
    if chain is None:
        hint = nearest(report.currency_chain, parts.chains)
        advice = f'did you mean "{hint}"?' if hint else f"add [chains.{report.currency_chain}] with an rpc"
        problems.add(("report", "currency_chain"), f"no such chain in this config; {advice}")
    elif not chain.rpc:
        problems.add(("chains", report.currency_chain, "rpc"), "is required because report.currency_chain names it")
