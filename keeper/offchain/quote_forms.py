"""How 0x, 1inch and CoW are asked what a sale would bring, and how their answers are read: strictly, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlencode

from keeper.domain.money import Address, Amount, Token, address
from keeper.domain.sale_quote import SaleQuote

__all__ = ["FORMS", "Question", "QuoteForm"]

#: Tokens on the way that are kept, and parts of a route that are looked at.
_MOST_VIA, _MOST_PARTS = 4, 2_000
#: Gas beyond any block's.
_MOST_GAS: Final = 10**9
#: How aggregators spell a chain's own coin, and nothing: neither can be a token on the way.
_NO_TOKENS: Final = frozenset({Address("0x" + "ee" * 20), Address("0x" + "00" * 20)})


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be sold for what."""

    #: What the service calls the chain.
    network: str
    owner: Address
    sold: Amount
    buy: Token


@dataclass(frozen=True, slots=True)
class QuoteForm:
    """One form of questions and answers."""

    #: For people.
    name: str
    url: str
    #: What it calls a chain, by chain id.
    networks: Mapping[int, str]
    #: Path and query after the address, and what is posted; ``None`` where nothing is.
    asked: Callable[[Question], tuple[str, Mapping[str, Any] | None]]
    #: An answer as a quote, ``None`` where it says that there is none. Raises ValueError saying what is wrong.
    read: Callable[[Any, Question], SaleQuote | None]
    #: What is sent along.
    headers: Callable[[str | None], Mapping[str, str]]


def _zero_ex_asked(q: Question) -> tuple[str, None]:
    wanted = {
        "chainId": q.network,
        "sellToken": q.sold.token.address,
        "buyToken": q.buy.address,
        "sellAmount": q.sold.raw,
    }
    return f"/swap/allowance-holder/price?{urlencode(wanted)}", None


def _zero_ex_read(document: Any, q: Question) -> SaleQuote | None:
    """Read an indicative price of 0x's API v2.

    https://docs.0x.org/api-reference/openapi-yaml/swap/allowanceholder-getprice: amounts are texts in base units, net
    of 0x's own fee; ``route.fills`` goes ``from`` token ``to`` token; without liquidity there is nothing beside that.
    """
    said = _table(document, "the answer")
    if said.get("liquidityAvailable") is False:
        return None
    if said.get("liquidityAvailable") is not True:
        raise ValueError("it does not say whether there is liquidity")
    _same(said.get("sellToken"), q.sold.token, "sells")
    _same(said.get("buyToken"), q.buy, "buys")
    _all_of(_amount(said.get("sellAmount"), "sellAmount"), q)
    bought = _amount(said.get("buyAmount"), "buyAmount")
    fills = _list(_table(said.get("route", {}), "the route").get("fills", []))
    steps = (fill.get(end) for fill in fills if isinstance(fill, dict) for end in ("from", "to"))
    return _quote("0x", q, bought, _gas(said.get("gas")), steps)


def _one_inch_asked(q: Question) -> tuple[str, None]:
    wanted = {
        "src": q.sold.token.address,
        "dst": q.buy.address,
        "amount": q.sold.raw,
        "includeTokensInfo": "true",
        "includeProtocols": "true",
        "includeGas": "true",
    }
    return f"/{quote(q.network, safe='')}/quote?{urlencode(wanted)}", None


def _one_inch_read(document: Any, q: Question) -> SaleQuote:
    """Read a quote of 1inch's Classic Swap API v6.

    https://business.1inch.com/portal/documentation/apis/swap/classic-swap/methods/v6.1/1/quote/method/get:
    ``dstAmount`` is a text in base units; the amount sold is not repeated; ``protocols`` is the route, nested
    differently in each version, so it is walked for whatever names a token.
    """
    said = _table(document, "the answer")
    _same(_table(said.get("srcToken"), "srcToken").get("address"), q.sold.token, "sells")
    _same(_table(said.get("dstToken"), "dstToken").get("address"), q.buy, "buys")
    bought = _amount(said.get("dstAmount"), "dstAmount")
    return _quote("1inch", q, bought, _gas(said.get("gas")), _named(said.get("protocols"), _ONE_INCH_ENDS))


#: Where 1inch names the tokens of a step.
_ONE_INCH_ENDS: Final = ("fromTokenAddress", "toTokenAddress", "token", "dst")


def _cow_asked(q: Question) -> tuple[str, Mapping[str, Any]]:
    wanted = {
        "kind": "sell",
        "sellToken": q.sold.token.address,
        "buyToken": q.buy.address,
        "sellAmountBeforeFee": str(q.sold.raw),
        "from": q.owner,
        "priceQuality": "optimal",
    }
    return f"/{quote(q.network, safe='')}/api/v1/quote", wanted


def _cow_read(document: Any, q: Question) -> SaleQuote:
    """Read a quote of CoW Protocol's order book.

    https://docs.cow.fi/cow-protocol/reference/apis/orderbook (``OrderQuoteResponse``, from
    https://github.com/cowprotocol/services/blob/main/crates/orderbook/openapi.yml): amounts are texts in base units; of
    ``sellAmountBeforeFee`` the network's cost is taken off as ``feeAmount``, so that what is bought is net of gas. Who
    will fill an order is not known before, so there is no route.
    """
    said = _table(_table(document, "the answer").get("quote"), "its quote")
    if said.get("kind") != "sell":
        raise ValueError("its quote is not for a sale")
    _same(said.get("sellToken"), q.sold.token, "sells")
    _same(said.get("buyToken"), q.buy, "buys")
    fee = _amount(said.get("feeAmount"), "feeAmount", least=0)
    _all_of(_amount(said.get("sellAmount"), "sellAmount") + fee, q)
    return _quote("CoW", q, _amount(said.get("buyAmount"), "buyAmount"), 0, ())


# ---------------------------------------------------------------------------- strictly


def _table(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no table")  # noqa: TRY004 (one kind of error for all wrong shapes)
    return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _amount(value: Any, what: str, *, least: int = 1) -> int:
    """Read base units as all of them write them: decimal digits in a text, and nothing else."""
    plain = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 39
    if not plain or not least <= int(value) < 1 << 128:
        raise ValueError(f"{what} is {str(value)[:40]!r}")
    return int(value)


def _same(said: Any, token: Token, does: str) -> None:
    if not isinstance(said, str) or said.lower() != token.address:
        raise ValueError(f"it {does} another token than {token.symbol}")


def _all_of(sold: int, q: Question) -> None:
    if sold != q.sold.raw:
        raise ValueError(f"it sells {sold} base units, not {q.sold.raw}")


def _gas(value: Any) -> int:
    """Read gas units, which come as a text or a number; nonsense is as good as nothing, for it only counts against."""
    plain = isinstance(value, (int, str)) and not isinstance(value, bool) and len(str(value)) <= 10
    text = str(value)
    return min(int(text), _MOST_GAS) if plain and text.isascii() and text.isdecimal() else 0


def _quote(source: str, q: Question, bought: int, gas: int, steps: Iterable[Any]) -> SaleQuote:
    ends = {q.sold.token.address, q.buy.address}
    via: dict[Address, None] = {}
    for step, _ in zip(steps, range(_MOST_PARTS), strict=False):
        try:
            token = address(step) if isinstance(step, str) else None
        except ValueError:
            continue  # it is only a hint for people
        if token is not None and token not in ends | _NO_TOKENS and len(via) < _MOST_VIA:
            via[token] = None
    return SaleQuote(q.sold, Amount(q.buy, bought), source, gas, tuple(via))


def _named(value: Any, keys: tuple[str, ...]) -> Iterator[Any]:
    """Walk through lists and tables for what stands under these keys; a fetched document is never deep."""
    if isinstance(value, dict):
        yield from (value[key] for key in keys if key in value)
    inside = value.values() if isinstance(value, dict) else _list(value)
    for each in inside:
        yield from _named(each, keys)


def _zero_ex_headers(key: str | None) -> Mapping[str, str]:
    return {"0x-version": "v2"} | ({"0x-api-key": key} if key else {})


def _bearer(key: str | None) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _cow_headers(key: str | None) -> Mapping[str, str]:
    return {"X-API-Key": key} if key else {}


#: Chains that 0x and 1inch know, by the chain's own id.
_BY_ID: Final = {chain_id: str(chain_id) for chain_id in (1, 10, 56, 137, 8453, 42161, 43114)}

#: The services, by the name that the config uses.
FORMS: Final[Mapping[str, QuoteForm]] = MappingProxyType(
    {
        "0x": QuoteForm("0x", "https://api.0x.org", _BY_ID, _zero_ex_asked, _zero_ex_read, _zero_ex_headers),
        "1inch": QuoteForm(
            "1inch", "https://api.1inch.com/swap/v6.1", _BY_ID, _one_inch_asked, _one_inch_read, _bearer
        ),
        # https://docs.cow.fi/tutorials/how-to-submit-orders-via-the-api (base addresses; no key is needed)
        "cow": QuoteForm(
            "CoW",
            "https://api.cow.fi",
            {
                1: "mainnet",
                56: "bnb",
                137: "polygon",
                8453: "base",
                42161: "arbitrum_one",
                43114: "avalanche",
            },
            _cow_asked,
            _cow_read,
            _cow_headers,
        ),
    }
)
