"""Chainlink USD feeds: refused when stale, incomplete, not positive, or not in US dollars at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.block import BlockRef
from keeper.domain.money import Address, Token, UsdWad
from keeper.domain.reads import Read, ReadResult
from keeper.domain.valuation import Quote, TokenPrice
from keeper.erc20 import DECIMALS
from keeper.errors import ConfigError, PriceUnavailable, ReadFailed
from keeper.ports import ParamSpec, PriceSpec, Questions
from keeper.prices.shared import address_setting, seconds_setting

__all__ = ["Chainlink"]

#: roundId, answer, startedAt, updatedAt, answeredInRound.
#: https://docs.chain.link/data-feeds/api-reference#latestrounddata
LATEST_ROUND: Final = Fn("latestRoundData()", "uint80,int256,uint256,uint256,uint80")
#: Like "ETH / USD".
DESCRIPTION: Final = Fn("description()", "string")

#: Seconds that a sequencer must have been up again before prices count (Chainlink's own advice).
_SEQUENCER_GRACE: Final = 3600

_WAD_PLACES: Final = 18


class Chainlink:
    """Price source: one aggregator proxy; on L2s also the sequencer-uptime feed."""

    name = "chainlink"
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "feed": ParamSpec("address", True, "Aggregator proxy of the token's USD feed."),
            "max_age_seconds": ParamSpec("int", True, "Age from which an answer is stale: heartbeat plus a margin."),
            "sequencer_feed": ParamSpec("address", False, "Sequencer-uptime feed of an L2."),
        }
    )

    def resolve(self, spec: PriceSpec, token: Token) -> Questions[Mapping[str, str]]:
        """Ask for the feed's decimals, and make sure that it quotes dollars."""
        feed = address_setting(spec, token, "feed")
        seconds_setting(spec, token, "max_age_seconds")
        decimals, description = yield [DECIMALS.read(feed), DESCRIPTION.read(feed, result_bytes=96)]
        try:
            places = int(DECIMALS.value(decimals))
        except ReadFailed as error:
            raise ReadFailed(
                f"{checksum(feed)} does not answer like a Chainlink feed of {token.symbol} ({error}); check feed"
            ) from error
        _refuse_other_currency(token, feed, description)
        return {"decimals": str(places)}

    def needs(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Address]:  # noqa: ARG002
        """Depend on nothing."""
        return ()

    def reads(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Read]:  # noqa: ARG002
        """Latest round of the feed, and of the sequencer's when one is set."""
        feeds = [address_setting(spec, token, "feed")]
        if "sequencer_feed" in spec.settings:
            feeds.append(address_setting(spec, token, "sequencer_feed"))
        return [LATEST_ROUND.read(feed, gas=60_000) for feed in feeds]

    def quote(
        self,
        spec: PriceSpec,
        token: Token,
        facts: Mapping[str, str],
        results: Sequence[ReadResult],
        block: BlockRef,
        known: Mapping[Address, TokenPrice],  # noqa: ARG002
    ) -> Quote:
        """Scale the answer to wad, once its age and round have passed."""
        for sequencer in results[1:]:
            _refuse_sequencer_down(token, _round(token, sequencer), block)
        round_id, answer, _, updated_at, answered_in = _round(token, results[0])
        if answer <= 0:
            raise PriceUnavailable(f"the Chainlink feed of {token.symbol} answers {answer}; keeper waits for a price")
        if updated_at == 0 or answered_in < round_id:
            raise PriceUnavailable(
                f"the Chainlink feed of {token.symbol} carries over an old answer (round {round_id}, answered in "
                f"{answered_in}); keeper waits for a complete round",
                kind="stale",
            )
        age = block.timestamp - updated_at
        limit = seconds_setting(spec, token, "max_age_seconds")
        if age > limit:
            raise PriceUnavailable(
                f"the Chainlink feed of {token.symbol} is {age} s old, more than max_age_seconds = {limit}; "
                "keeper waits, or raise the limit if the feed's heartbeat is longer",
                kind="stale",
            )
        places = int(facts["decimals"])
        up, down = 10 ** max(0, _WAD_PLACES - places), 10 ** max(0, places - _WAD_PLACES)
        price = UsdWad(answer * up // down)
        if price == 0:
            raise PriceUnavailable(f"the Chainlink price of {token.symbol} rounds to zero; use another source")
        return Quote(token, price, self.name, updated_at)


def _round(token: Token, result: ReadResult) -> tuple[int, ...]:
    try:
        return LATEST_ROUND.values(result)
    except ReadFailed as error:
        raise PriceUnavailable(f"a Chainlink feed of {token.symbol} does not answer: {error}; check it") from error


def _refuse_other_currency(token: Token, feed: Address, description: ReadResult) -> None:
    """Refuse feeds like "UNI / ETH": their answer read as dollars would be wrong by orders of magnitude."""
    try:
        text = str(DESCRIPTION.value(description))
    except ReadFailed:
        return
    if "/" in text and text.rpartition("/")[2].strip().upper() != "USD":
        raise ConfigError(f"feed {checksum(feed)} of {token.symbol} quotes {text[:40]!r}; use a feed in USD")


def _refuse_sequencer_down(token: Token, latest: tuple[int, ...], block: BlockRef) -> None:
    """Answer 1 means down; after a restart prices lag while the queue drains."""
    _, status, started_at, _, _ = latest
    if status != 0 or started_at == 0 or block.timestamp - started_at < _SEQUENCER_GRACE:
        raise PriceUnavailable(
            f"the L2's sequencer is down or has just restarted, so the feed of {token.symbol} cannot be trusted; "
            "keeper waits an hour after the restart",
            kind="stale",
        )
