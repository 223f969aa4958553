"""Attacks on the protocol families, exchanges and baskets: hostile pools, gauges, tokens, servers and texts."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import MappingProxyType

import pytest
from adapter_kit import BLOCK, OWNER, STRANGER, World, addr, token

from keeper.abi import Fn, encode
from keeper.domain.facts import Place
from keeper.domain.money import WAD, Address
from keeper.domain.plan import MinOut, Share
from keeper.domain.position import Basket, Position, RouteSpec, StrategyOptions
from keeper.domain.reads import Read, ReadResult
from keeper.domain.valuation import Quote
from keeper.engine.converse import converse
from keeper.engine.simulate import min_out
from keeper.errors import ConfigError, KeeperError, ReadFailed, SimulationReverted
from keeper.offchain.fetch import Unfetched, get_json
from keeper.ports import PriceSpec
from keeper.prices.balancer_lp import BalancerLp
from keeper.protocols.grammar import parse_call
from keeper.protocols.slipstream import Slipstream
from keeper.protocols.uniswap_v3 import UniswapV3
from keeper.signers.never import forbidden
from keeper.swaps.curve import Curve
from keeper.swaps.curve_pool import CurvePool
from keeper.swaps.solidly import Solidly
from keeper.swaps.solidly_pool import SolidlyPool

ROUTER, FACTORY = addr(50), addr(51)
NATIVE = token(7, "WETH")
AERO, WETH = token(60, "AERO"), token(61, "WETH")
META = "uint256,uint256,uint256,uint256,bool,address,address"


def pair(world: World, at: Address, reserves: tuple[int, int], *, stable: bool, fee_bps: int = 30) -> None:
    """Put a pair of AERO and WETH that answers every quote it is asked."""
    world.put(at, "metadata()", (), META, WAD, WAD, *reserves, stable, AERO.address, WETH.address)


class Exchange(World):
    """A Solidly exchange with a deep volatile pair, and a stable one that a stranger has made with dust in it."""

    def __init__(self) -> None:
        super().__init__()
        self.pools = {False: addr(70), True: addr(71)}
        self.reserves = {False: (10**24, 10**21), True: (30, 30)}
        for each in (AERO, WETH):
            self.put_token(each)
        self.put(ROUTER, "factory()", (), "address", FACTORY)
        for stable, pool in self.pools.items():
            pair(self, pool, self.reserves[stable], stable=stable)

    def _one(self, read: Read) -> ReadResult:
        if read.target == FACTORY:
            return ReadResult(True, encode(("address",), (self.pools[bool(read.data[-1])],)))
        if read.data[:4] == Fn("getAmountOut(uint256,address)").selector:
            stable = read.target == self.pools[True]
            sold, (first, second) = int.from_bytes(read.data[4:36], "big"), self.reserves[stable]
            taxed = sold * 9_970 // 10_000
            return ReadResult(True, encode(("uint256",), (taxed * second // (first + taxed),)))
        if read.data[:4] == Solidly.amounts_out.selector:
            return ReadResult(True, encode(("uint256[]",), ([1, 1],)))
        return super()._one(read)


def test_a_strangers_dust_pair_never_takes_the_floor_off_a_sale():
    routes = Exchange().talk(Solidly().resolve(RouteSpec("solidly", ROUTER), AERO, WETH))

    assert [route.pools for route in routes] == [(addr(70),)], "the deep pair, and not the dust"
    assert all(route.fee_bps <= 300 for route in routes)


def test_a_floor_that_asks_for_nothing_is_refused():
    share = Share(AERO)
    for slippage in (10_000, 10_050, 9_000):
        with pytest.raises(SimulationReverted, match="floor"):
            min_out(MinOut(share, 1_000, 1_000_000, slippage), {AERO.address: 10**21})
    assert min_out(MinOut(share, 1_000, 1_000_000, 300), {AERO.address: 10**21}) == 97 * 10**16
    # A range's side near an end of it may fall short by nearly all of it: that is bounded by its pool's price.
    assert min_out(MinOut(Share(AERO, optional=True), 1, 1, 9_999), {AERO.address: 10**21}) == 10**17


def test_a_curve_pool_with_an_absurd_fee_is_no_way():
    world = World()
    pool = addr(80)
    for index, coin in enumerate((AERO, WETH)):
        world.put_token(coin)
        world.put(pool, "coins(uint256)", (index,), "address", coin.address)
        world.put(coin.address, "balanceOf(address)", (pool,), "uint256", 10**21)
    world.put(pool, "fee()", (), "uint256", 10**40)
    world.put(pool, "get_dy(int128,int128,uint256)", (0, 1, 10**18 + 1), "uint256", 10**18)

    with pytest.raises(KeeperError):
        world.talk(Curve().resolve(RouteSpec("curve", pool), AERO, WETH))
    world.put(pool, "fee()", (), "uint256", 4_000_000)
    assert world.talk(Curve().resolve(RouteSpec("curve", pool), AERO, WETH))[0].fee_bps == 4


def test_a_curve_stake_with_an_absurd_fee_is_not_made():
    world, lp = World(), token(81, "LP")
    for each in (lp, AERO, WETH):
        world.put_token(each)
    for index, coin in enumerate((AERO, WETH)):
        world.put(lp.address, "coins(uint256)", (index,), "address", coin.address)
    world.put(lp.address, "get_virtual_price()", (), "uint256", WAD)
    world.put(lp.address, "fee()", (), "uint256", 10**40)

    with pytest.raises(ConfigError, match="fee"):
        world.talk(CurvePool().recognise(lp, ()))


# ------------------------------------------------------------------ pools that were pushed


def test_a_stable_pair_pushed_off_par_is_not_entered():
    lp = token(90, "sAMM")
    basket = Basket(
        "solidly", lp, (AERO, WETH), ROUTER, PriceSpec("solidly-lp", {}), 30, numbers=MappingProxyType({"stable": 1})
    )

    def mix(x: int, y: int) -> tuple[int, ...]:
        world = World()
        pair(world, lp.address, (x * WAD, y * WAD), stable=True)
        return SolidlyPool().mix(basket, world.answer(SolidlyPool().reads(basket)))

    assert mix(1_000, 1_000) == (500_000, 500_000)
    assert mix(1_500, 1_000)[0] > 500_000  # near par a pair's ratio moves far with hardly any price
    for x, y in ((19_000, 1_000), (1_000, 19_000)):  # what goes in here is worth a quarter less once it is pushed back
        with pytest.raises(ReadFailed, match="par"):
            mix(x, y)


# ------------------------------------------------------------------ NFTs


def staked_at(holder: Address):
    """A gauge that says it holds the owner's NFT 12, of a manager that says who really does."""
    gauge, manager, pool, voter, aero = addr(100), addr(101), addr(102), addr(103), AERO
    world = World()
    for each in (AERO, WETH, NATIVE):
        world.put_token(each)
    for name, value in (("pool()", pool), ("nft()", manager), ("rewardToken()", aero.address), ("voter()", voter)):
        world.put(gauge, name, (), "address", value)
    kinds = "uint96,address,address,address,uint24,int24,int24,uint128,uint256,uint256,uint128,uint128"
    held = (0, holder, WETH.address, AERO.address, 100, -100, 100, 10**20, 0, 0, 0, 0)
    world.put(manager, "positions(uint256)", (12,), kinds, *held)
    world.put(manager, "symbol()", (), "string", "CL-POS")
    world.put(manager, "ownerOf(uint256)", (12,), "address", holder)
    world.put(pool, "token0()", (), "address", WETH.address)
    world.put(pool, "token1()", (), "address", AERO.address)
    world.put(pool, "slot0()", (), "uint160,int24", 2**96, 0)
    world.put(pool, "stakedLiquidity()", (), "uint128", 10**20)
    world.put(gauge, "stakedContains(address,uint256)", (OWNER, 12), "bool", True)
    world.put(gauge, "earned(address,uint256)", (OWNER, 12), "uint256", 10**20)
    world.put(gauge, "rewardRate()", (), "uint256", 10**18)
    world.put(gauge, "periodFinish()", (), "uint256", BLOCK.timestamp + 86_400)
    world.put(AERO.address, "balanceOf(address)", (gauge,), "uint256", 10**24)
    world.put(voter, "isAlive(address)", (gauge,), "bool", True)
    position = Position("p", "test", "slipstream", OWNER, "s", gauge, {"token_id": 12}, None, StrategyOptions())
    adapter = Slipstream()
    market = world.talk(adapter.resolve(position))
    return adapter.observe(position, market, world.answer(adapter.reads(position, market)), BLOCK)


def test_a_gauge_that_claims_an_nft_of_the_wallet_does_not_get_it():
    honest = staked_at(addr(100))
    assert not honest.deposits_paused
    assert honest.principal.raw == 10**20
    for elsewhere in (OWNER, STRANGER):  # the compound would approve it for the gauge, and hand it over
        assert staked_at(elsewhere).deposits_paused
        assert staked_at(elsewhere).harvest_paused
    assert staked_at(STRANGER).principal.raw == 0


# ------------------------------------------------------------------ calls in words


@pytest.mark.parametrize(
    "text",
    [
        "approve(address=0x6666666666666666666666666666666666666666,uint256:amount)",
        "approve(address=0x6666666666666666666666666666666666666666,uint256=1000)",
        "increaseAllowance(address=0x6666666666666666666666666666666666666666,uint256:amount)",
        "transfer(address=0x6666666666666666666666666666666666666666,uint256:amount)",
        "transferFrom(address:owner,address=0x6666666666666666666666666666666666666666,uint256:amount)",
        "setApprovalForAll(address=0x6666666666666666666666666666666666666666,bool=true)",
    ],
)
def test_calls_in_words_give_no_rights_and_send_no_tokens(text):
    with pytest.raises(ValueError, match="keeper makes no such call"):
        parse_call(text, ("owner", "amount"))


@pytest.mark.parametrize(
    "signature",
    [
        "allow(address,bool)",  # Compound V3: everything there
        "setAuthorization(address,bool)",  # Morpho: everything there
        "setRelayerApproval(address,address,bool)",  # Balancer: whatever its vault may take
        "hope(address)",  # Maker: the whole account
        "delegate(address)",
        "safeTransfer(address,uint256)",
        "transferShares(address,uint256)",
        "transferSharesFrom(address,address,uint256)",
        "burn(uint256)",
        "approveMax(address)",
        "safeApprove(address,uint256)",
        "decreaseLiquidity((uint256,uint128,uint256,uint256,uint256))",
        "redeem(uint256,address,address)",
        "withdraw(uint256,address,address)",
        "withdraw(address,uint256,address)",
        "withdrawTo(address,address,uint256)",
        "transferAsset(address,address,uint256)",
    ],
)
def test_more_calls_that_give_an_account_away_are_never_signed(signature):
    assert forbidden(Fn(signature).selector + bytes(96))


# ------------------------------------------------------------------ one that is broken harms no other


class _Chain:
    def read(self, reads, block):
        return [ReadResult(True, bytes(32)) for _ in reads]


def test_an_adapter_that_fails_on_an_absurd_answer_is_one_problem_and_not_everybodys():
    def broken(error):
        yield [Read(addr(1), b"\0" * 4)]
        raise error

    def sound():
        yield [Read(addr(1), b"\0" * 4)]
        return "learnt"

    talks = {error.__name__: broken(error("absurd")) for error in (ValueError, ZeroDivisionError, KeyError, IndexError)}
    said = converse(_Chain(), BLOCK, {**talks, "sound": sound()})

    assert said.pop("sound") == "learnt"
    assert all(isinstance(each, ReadFailed) for each in said.values())


def test_a_pool_of_absurd_weights_has_no_price_and_takes_no_other_with_it():
    from keeper.engine.book import PricedToken
    from keeper.engine.observe import Sighting
    from keeper.engine.value import price_board

    lp, spec = token(110, "BPT"), PriceSpec("balancer-lp", {})
    facts = {
        "pool_id": "00" * 32, "vault": addr(111), "tokens": f"{NATIVE.address},{AERO.address}",
        "weights": f"{10**60},0", "decimals": "18,18", "actual": "",
    }  # fmt: skip
    tokens = ([NATIVE.address, AERO.address], [10**60, 10**60], 1)
    answers = [
        ReadResult(True, encode(("address[]", "uint256[]", "uint256"), tokens)),
        ReadResult(True, encode(("uint256",), (1,))),
    ]

    class _Fixed:
        def quote(self, spec, token, *_):
            return Quote(token, WAD, "fixed", 0)

    class _Context:
        class plugins:  # noqa: N801
            prices = MappingProxyType({"balancer-lp": BalancerLp(), "fixed": _Fixed()})

        class price_rules:  # noqa: N801
            min_sources, max_deviation_bps, sanity_bps = 1, 100, 1_000

        outside_price = staticmethod(lambda _: None)

    class _Book:
        prices = (
            PricedToken(NATIVE, ((PriceSpec("fixed", {}), {}),), False, ()),
            PricedToken(AERO, ((PriceSpec("fixed", {}), {}),), False, ()),
            PricedToken(lp, ((spec, facts),), True, ()),
        )

    seen = {(t.address, 0): [] for t in (NATIVE, AERO)} | {(lp.address, 0): answers}
    board = price_board(_Context(), _Book(), Sighting(BLOCK, {}, {}, {}, seen, 0))

    assert set(board.agreed) == {NATIVE.address, AERO.address}
    assert lp.address in board.problems


# ------------------------------------------------------------------ servers


def test_a_server_that_drips_its_headers_is_given_up_in_time():
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            one, _ = listener.accept()
            with one, contextlib.suppress(OSError):
                one.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while not stop.wait(0.2):
                    one.sendall(b"a")

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    started = time.monotonic()
    threading.Timer(6.0, stop.set).start()
    with pytest.raises(Unfetched):
        get_json(f"http://127.0.0.1:{listener.getsockname()[1]}/", seconds=1.0)
    assert time.monotonic() - started < 3
    stop.set()
    listener.close()


def test_an_nft_of_a_broken_token_that_somebody_sent_hides_none_of_the_others():
    manager, broken, world = addr(120), token(121, "EVIL", 77), World()
    for each in (AERO, WETH, broken):
        world.put_token(each)
    world.put(manager, "symbol()", (), "string", "UNI-V3-POS")
    world.put(manager, "balanceOf(address)", (OWNER,), "uint256", 3)
    kinds = "uint96,address,address,address,uint24,int24,int24,uint128,uint256,uint256,uint128,uint128"
    for index, side in enumerate((AERO.address, broken.address, addr(122))):  # sane, absurd, no token at all
        world.put(manager, "tokenOfOwnerByIndex(address,uint256)", (OWNER, index), "uint256", 40 + index)
        held = (0, OWNER, side, WETH.address, 3_000, -60, 60, 10**18, 0, 0, 0, 0)
        world.put(manager, "positions(uint256)", (40 + index,), kinds, *held)

    found = world.talk(UniswapV3().discover("test", Place("uniswap-v3", "there", manager, {}), OWNER))

    assert [one.params["token_id"] for one in found] == [42, 41, 40]
    assert found[-1].label == "AERO/WETH 0.3 %"
