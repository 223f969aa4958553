"""The currency that people are told amounts in, read from a Chainlink feed beside everything else of a cycle.

Nothing is decided by it. A rate that cannot be had leaves samples without one, and reports then speak in US dollars.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.block import BlockRef
from keeper.domain.money import Address, UsdWad
from keeper.domain.observation import USD_ONE
from keeper.domain.reads import Read, ReadResult
from keeper.errors import PriceUnavailable, ReadFailed

__all__ = ["BaseCurrency", "BaseFeed"]

#: roundId, answer, startedAt, updatedAt, answeredInRound.
_LATEST_ROUND: Final = Fn("latestRoundData()", "uint80,int256,uint256,uint256,uint80")
_DECIMALS: Final = Fn("decimals()", "uint8")
#: Like "EUR / USD".
_DESCRIPTION: Final = Fn("description()", "string")

_WAD_PLACES: Final = 18


@dataclass(frozen=True, slots=True)
class BaseFeed:
    """Where the rate comes from: ``[report]`` of the config."""

    #: Code of the currency, e.g. ``"EUR"``.
    currency: str
    #: Chain that has the feed.
    chain: str
    #: Chainlink feed of the currency in US dollars.
    feed: Address
    #: Age from which an answer is stale.
    max_age_seconds: int


@dataclass(slots=True)
class BaseCurrency:
    """The last rate of the reporting currency, for samples of every chain; ``None`` as feed is the US dollar itself.

    One for the whole app: the chain that has the feed reads it along with its cycle (``reads``, then ``take``), every
    chain asks ``rate`` for its samples. Safe to use from the threads of all chains.
    """

    feed: BaseFeed | None = None
    _rate: UsdWad | None = None
    _updated_at: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reads(self, chain: str) -> Sequence[Read]:
        """Views that a cycle of this chain reads for it; none on chains without the feed."""
        if self.feed is None or self.feed.chain != chain:
            return ()
        address = self.feed.feed
        return (
            _LATEST_ROUND.read(address, gas=60_000),
            _DECIMALS.read(address),
            _DESCRIPTION.read(address, result_bytes=96),
        )

    def take(self, results: Sequence[ReadResult], block: BlockRef) -> None:
        """Take in what the reads said.

        Raises:
            PriceUnavailable: it is no rate to go by; the sentence says why. The last one stands until it is too old.
        """
        if self.feed is None or not results:
            return
        rate, updated_at = _rate_of(self.feed, results, block)
        with self._lock:
            self._rate, self._updated_at = rate, updated_at

    def rate(self, timestamp: int) -> UsdWad:
        """Return the price of the currency in US dollars at a block time; that of the dollar where it is not known."""
        with self._lock:
            rate, updated_at = self._rate, self._updated_at
        if self.feed is None or rate is None or abs(timestamp - updated_at) > self.feed.max_age_seconds:
            return USD_ONE
        return rate


def _rate_of(feed: BaseFeed, results: Sequence[ReadResult], block: BlockRef) -> tuple[UsdWad, int]:
    """Check a round, and scale its answer to wad."""
    name = f"the feed {checksum(feed.feed)} of {feed.currency} on {feed.chain}"
    try:
        _, answer, _, updated_at, _ = _LATEST_ROUND.values(results[0])
        places = int(_DECIMALS.value(results[1]))
        described = str(_DESCRIPTION.value(results[2]))
    except ReadFailed as error:
        raise PriceUnavailable(f"{name} does not answer: {error}; check report.currency_feed") from error
    sides = [side.strip().upper() for side in described.split("/")]
    if sides != [feed.currency, "USD"]:
        raise PriceUnavailable(f"{name} quotes {described[:40]!r}; report.currency_feed must be {feed.currency} / USD")
    if answer <= 0 or updated_at == 0:
        raise PriceUnavailable(f"{name} answers {answer}; amounts are told in US dollars meanwhile")
    if block.timestamp - updated_at > feed.max_age_seconds:
        age = block.timestamp - updated_at
        raise PriceUnavailable(
            f"{name} is {age} s old, more than report.currency_max_age = {feed.max_age_seconds}; amounts are told in "
            "US dollars meanwhile",
            kind="stale",
        )
    wad = answer * 10**_WAD_PLACES // 10**places
    if wad == 0:
        raise PriceUnavailable(f"{name} rounds to zero; check report.currency_feed")
    return UsdWad(wad), updated_at
