"""The checks of ``keeper doctor`` that ask chains: endpoints, heads, clock, Multicall3, positions, prices, gas."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from keeper.cli.checkup import CODES, Row, fail, ok, skip, warn
from keeper.cli.exits import ExitCode, exit_code_for
from keeper.cli.output import address_long, address_short, duration
from keeper.cli.tx_views import native
from keeper.domain.decision import ReasonCode, Verdict
from keeper.domain.facts import ChainFacts
from keeper.domain.money import Address
from keeper.errors import KeeperError

if TYPE_CHECKING:
    from keeper.app import App
    from keeper.config.loader import Loaded

__all__ = ["examine_chains"]

#: Blocks by which endpoints of one chain may differ.
_APART: Final = 3

#: Seconds that a head may be old, beside twenty of the chain's blocks.
_OLD: Final = 120

#: Seconds by which a block may lie in the future: nodes accept a few.
_AHEAD: Final = 15

_PRICE_CODES: Final = frozenset({ReasonCode.PRICE_MISSING, ReasonCode.PRICE_STALE, ReasonCode.PRICE_DISAGREES})


@dataclass(frozen=True, slots=True)
class _Head:
    """What one endpoint says."""

    url: str
    chain_id: int
    number: int
    timestamp: int


def examine_chains(loaded: Loaded, overrides: Mapping[str, str]) -> Iterator[Row]:
    """Ask every endpoint of every chain that a position is on, then look at the positions once."""
    chains = list(dict.fromkeys(position.chain for position in loaded.settings.positions))
    for name in loaded.settings.chains:
        if name not in chains:
            yield skip(name, "no position is on this chain")
    reachable = True
    for name in chains:
        rows = list(_endpoints(loaded, name))
        reachable = reachable and any(row.state == "ok" and row.subject == name for row in rows)
        yield from rows
    if not chains:
        yield skip("positions", "none is configured")
    elif not reachable:
        yield skip("positions", "a chain cannot be read; prices and balances were not looked at")
    else:
        yield from _positions(loaded, overrides)


def _endpoints(loaded: Loaded, name: str) -> Iterator[Row]:
    facts, heads = loaded.chain_facts(name), list[_Head]()
    for url in loaded.settings.chains[name].rpc:
        head = _ask(url)
        if isinstance(head, Row):
            yield Row(head.state, name, head.text, head.fix, head.code)
        elif head.chain_id != facts.chain_id:
            text = f"{head.url} is chain {head.chain_id}, not {facts.chain_id}"
            yield fail(name, text, f"correct chains.{name}.rpc", ExitCode.CONFIG)
        else:
            heads.append(head)
            yield ok(name, f"{head.url} is chain {head.chain_id}, block {head.number:,}")
    if heads:
        yield from _agreement(name, heads)
        yield _age(name, facts, max(heads, key=lambda head: head.number))
        yield _multicall(loaded, name, facts)


def _ask(url: str) -> _Head | Row:
    from keeper.chain.endpoint import Endpoint

    endpoint = Endpoint(url)
    try:
        chain_id = int(endpoint.call("eth_chainId"), 16)
        block = endpoint.call("eth_getBlockByNumber", ("latest", False))
        return _Head(endpoint.redacted, chain_id, int(block["number"], 16), int(block["timestamp"], 16))
    except KeeperError as error:
        return fail("", str(error), "start the node, or name another endpoint")
    except (TypeError, KeyError, ValueError):
        return fail("", f"{endpoint.redacted} does not answer like a node", "name another endpoint")
    finally:
        endpoint.close()


def _agreement(name: str, heads: list[_Head]) -> Iterator[Row]:
    numbers = [head.number for head in heads]
    apart = max(numbers) - min(numbers)
    if len(heads) == 1:
        yield warn(name, "one endpoint only: nobody checks what it says", f"add a second provider to chains.{name}.rpc")
    elif apart > _APART:
        slow = min(heads, key=lambda head: head.number).url
        yield warn(name, f"heads are {apart} blocks apart", f"{slow} lags; replace it when that stays so")
    else:
        yield ok(name, f"{len(heads)} endpoints agree: heads within {apart} block{'' if apart == 1 else 's'}")


def _age(name: str, facts: ChainFacts, head: _Head) -> Row:
    age = int(time.time()) - head.timestamp
    allowed = _OLD + 20 * facts.block_time_ms // 1000
    if age < -_AHEAD:
        text = f"the newest block is {duration(-age)} ahead of this machine's clock"
        return warn(f"{name} clock", text, "set the clock by NTP (a local test chain may run ahead)")
    if age > allowed:
        text = f"the newest block is {duration(age)} old"
        return warn(f"{name} clock", text, "the node lags or the clock is fast: check both")
    return ok(f"{name} clock", f"the newest block is {duration(max(age, 0))} old")


def _multicall(loaded: Loaded, name: str, facts: ChainFacts) -> Row:
    if facts.multicall3 is None:
        return warn(
            name, "no Multicall3: reads go out as JSON-RPC batches", f"set chains.{name}.multicall3 if it has one"
        )
    from keeper.chain.endpoint import Endpoint

    endpoint = Endpoint(loaded.settings.chains[name].rpc[0])
    try:
        code = endpoint.call("eth_getCode", (facts.multicall3, "latest"))
    except KeeperError as error:
        return fail(name, str(error), "try again")
    finally:
        endpoint.close()
    if code in ("0x", None, ""):
        text = f"no code at Multicall3's address {address_short(facts.multicall3)}"
        return fail(name, text, f'correct chains.{name}.multicall3, or write "none"', ExitCode.CONFIG)
    return ok(name, f"Multicall3 at {address_short(facts.multicall3)}")


def _positions(loaded: Loaded, overrides: Mapping[str, str]) -> Iterator[Row]:
    from keeper.cli.session import looking

    try:
        with looking(loaded, overrides) as app:
            for assessment in app.survey():
                name, decision = assessment.position.id, assessment.decision
                if decision.code is ReasonCode.READ_FAILED:
                    text = decision.reasons[0].text
                    yield fail(name, text, "correct target, chain or params of the position", ExitCode.CONFIG)
                elif decision.code in _PRICE_CODES:
                    yield fail(name, decision.reasons[0].text, "add or correct sources in [prices]", ExitCode.REFUSED)
                elif decision.verdict is Verdict.BLOCKED:
                    yield warn(name, decision.reasons[0].text, f"`keeper explain {name} --live` says more")
                else:
                    yield ok(name, f"resolved, prices agree; {decision.verdict.value}: {decision.reasons[0].text}")
            yield from _gas_money(app)
    except KeeperError as error:
        code = exit_code_for(error)
        known = code if code in CODES else ExitCode.UNAVAILABLE
        yield fail("positions", str(error), "correct that, then try again", known)


def _gas_money(app: App) -> Iterator[Row]:
    for name, context in app.contexts.items():
        signers = {p.owner: p.signer for p in context.positions if p.signer is not None}
        for owner, signer in signers.items():
            yield _runway(app, name, owner, str(signer))


def _runway(app: App, chain: str, owner: Address, signer: str) -> Row:
    """Say how long the gas money lasts at the rate of the journal's last month, and what to send."""
    from keeper.cli.runway import lasts, runway_of

    context = app.contexts[chain]
    subject, symbol = f"{chain} gas", context.chain.facts.native_symbol
    found = runway_of(app, chain, owner)
    held = f"{signer} ({address_short(owner)}) holds {native(found.balance_wei, symbol)}"
    if found.balance_wei == 0:
        return fail(subject, held, f"send {symbol} to {address_long(owner)}", ExitCode.REFUSED)
    if found.days is None:
        return ok(subject, f"{held}; too little was spent yet to reckon how long it lasts")
    text = f"{held}, which {lasts(found)}"
    if not found.low:
        return ok(subject, text)
    return warn(subject, text, f"send {native(found.top_up_wei, symbol)} to {address_long(owner)}")
