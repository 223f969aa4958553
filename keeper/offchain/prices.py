"""Prices from the web, to check by: fetched in the background, kept while fresh, and never a source of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from keeper.domain.money import Address, Token, UsdWad, address, usd
from keeper.domain.valuation import Quote
from keeper.offchain.fetch import Unfetched, get_json

__all__ = ["SERVICES", "OutsidePrices", "Service"]

#: Most tokens that are asked for, over all chains.
_MOST: Final = 2_000
#: Longest answer to one question, bytes.
_MAX_BYTES: Final = 500_000
#: Seconds for one question.
_SECONDS: Final = 8.0
#: A price that the service itself calls older than this is none.
_OLDEST: Final = 2 * 3_600
#: Seconds by which its clock may be ahead of ours.
_AHEAD: Final = 600
#: Polls that an answer outlives.
_POLLS: Final = 3
#: No token is worth this many dollars, nor this little.
_HIGHEST, _LOWEST = Decimal(10**9), Decimal(1).scaleb(-15)
#: DefiLlama's confidence below which it says nothing.
_CONFIDENT: Final = Decimal("0.5")

#: One priced token: chain name, address, dollars, when (unix seconds).
_Said = tuple[str, Address, UsdWad, int]


@dataclass(frozen=True, slots=True)
class Service:
    """One form of questions and answers."""

    #: For people.
    name: str
    url: str
    #: What it calls a chain, by chain id.
    networks: Mapping[int, str]
    #: Tokens of one question.
    batch: int
    #: Path and query after the address: the chain's name there, and token addresses.
    path: Callable[[str, Sequence[Address]], str]
    #: Token, price and time in an answer, in whatever types they came.
    read: Callable[[Any, str], Iterator[tuple[Any, Any, Any]]]
    #: Header that takes a key, by host.
    key_header: Callable[[str], str] = field(default=lambda _: "Authorization")


def _llama_path(network: str, tokens: Sequence[Address]) -> str:
    return "/prices/current/" + ",".join(f"{network}:{token}" for token in tokens) + "?searchWidth=2h"


def _llama_read(document: Any, network: str) -> Iterator[tuple[Any, Any, Any]]:
    for key, coin in _table(_table(document).get("coins")).items():
        inside = _table(coin)
        sure = inside.get("confidence", 1)
        if key.startswith(f"{network}:") and isinstance(sure, (int, Decimal)) and sure >= _CONFIDENT:
            yield key.removeprefix(f"{network}:"), inside.get("price"), inside.get("timestamp")


def _gecko_path(network: str, tokens: Sequence[Address]) -> str:
    listed = ",".join(tokens)
    asked = f"contract_addresses={listed}&vs_currencies=usd&include_last_updated_at=true"
    return f"/simple/token_price/{network}?{asked}"


def _gecko_read(document: Any, _network: str) -> Iterator[tuple[Any, Any, Any]]:
    for key, coin in _table(document).items():
        inside = _table(coin)
        yield key, inside.get("usd"), inside.get("last_updated_at")


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


#: The services, by the name that the config uses.
SERVICES: Final[Mapping[str, Service]] = MappingProxyType(
    {
        # https://api-docs.defillama.com/ (coins)
        "defillama": Service(
            name="DefiLlama",
            url="https://coins.llama.fi",
            networks={
                1: "ethereum",
                10: "optimism",
                56: "bsc",
                137: "polygon",
                8453: "base",
                42161: "arbitrum",
                43114: "avax",
            },
            batch=60,
            path=_llama_path,
            read=_llama_read,
        ),
        # https://docs.coingecko.com/reference/simple-token-price
        "coingecko": Service(
            name="CoinGecko",
            url="https://api.coingecko.com/api/v3",
            networks={
                1: "ethereum",
                10: "optimistic-ethereum",
                56: "binance-smart-chain",
                137: "polygon-pos",
                8453: "base",
                42161: "arbitrum-one",
                43114: "avalanche",
            },
            batch=30,
            path=_gecko_path,
            read=_gecko_read,
            key_header=lambda url: "x-cg-pro-api-key" if "://pro-api." in url else "x-cg-demo-api-key",
        ),
    }
)


class OutsidePrices:
    """What a service says of the tokens that were asked about. Threads may share it; asking never waits."""

    def __init__(
        self,
        service: Service,
        networks: Mapping[str, str],
        *,
        poll_seconds: int,
        url: str | None = None,
        key: str | None = None,
        now: Callable[[], int],
        tell: Callable[[str], None],
    ) -> None:
        """Know nothing yet.

        Args:
            service: whom to ask.
            networks: what it calls each chain, by chain name; tokens of other chains are not asked about.
            poll_seconds: time between two looks; what is older than three of them counts no more.
            url: another address of the service.
            key: sent along in the service's header.
            now: unix seconds.
            tell: called once with why it cannot be asked, and again only after it could.
        """
        self._service, self._networks = service, dict(networks)
        self._url = (url or service.url).rstrip("/")
        self._headers = {service.key_header(self._url): key} if key else {}
        self._keep, self._now, self._tell = _POLLS * poll_seconds, now, tell
        self._lock = threading.Lock()
        #: Tokens to ask about, by chain name.
        self._wanted: dict[str, dict[Address, None]] = {}
        #: Dollars, when they were said to hold, and when they were fetched.
        self._known: dict[tuple[str, Address], tuple[UsdWad, int, int]] = {}
        self._away = False

    def want(self, chain: str, tokens: Iterable[Address]) -> None:
        """Ask about these tokens from the next look on."""
        if chain not in self._networks:
            return
        with self._lock:
            room = _MOST - sum(map(len, self._wanted.values()))
            wanted = self._wanted.setdefault(chain, {})
            wanted.update(dict.fromkeys([token for token in tokens if token not in wanted][: max(room, 0)]))

    def price(self, token: Token) -> Quote | None:
        """Return what is known and fresh; a token that was never asked about is from now on."""
        self.want(token.chain, (token.address,))
        with self._lock:
            known = self._known.get((token.chain, token.address))
        if known is None:
            return None
        dollars, as_of, fetched = known
        now = self._now()
        if not (0 <= now - fetched <= self._keep and -_AHEAD <= now - as_of <= _OLDEST + self._keep):
            return None
        return Quote(token, dollars, self._service.name, as_of)

    def look(self) -> None:
        """Ask about every token once; what cannot be had leaves what was known as it is."""
        with self._lock:
            wanted = {chain: tuple(tokens) for chain, tokens in self._wanted.items()}
        try:
            for chain, tokens in wanted.items():
                for start in range(0, len(tokens), self._service.batch):
                    self._take(self._ask(chain, tokens[start : start + self._service.batch]))
        except Unfetched as error:
            if not self._away:
                self._tell(f"prices are not checked by {self._service.name}: {error}")
            self._away = True
        else:
            self._away = False

    def _ask(self, chain: str, tokens: Sequence[Address]) -> list[_Said]:
        network = self._networks[chain]
        where = self._url + self._service.path(network, tokens)
        document = get_json(where, self._headers, seconds=_SECONDS, max_bytes=_MAX_BYTES)
        asked = frozenset(tokens)
        said = (_said(chain, *item) for item in self._service.read(document, network))
        return [one for one in said if one is not None and one[1] in asked]

    def _take(self, said: Sequence[_Said]) -> None:
        now = self._now()
        with self._lock:
            self._known.update({(chain, token): (dollars, as_of, now) for chain, token, dollars, as_of in said})


def _said(chain: str, token: Any, price: Any, as_of: Any) -> _Said | None:
    """Check one price of an answer; whatever is no sane price is none."""
    if isinstance(price, bool) or not isinstance(price, (int, Decimal)):
        return None
    if isinstance(as_of, bool) or not isinstance(as_of, int):
        return None
    dollars = Decimal(price)
    if not dollars.is_finite() or not _LOWEST <= dollars <= _HIGHEST:
        return None
    try:
        return chain, address(str(token)), usd(dollars), as_of
    except ValueError:
        return None
