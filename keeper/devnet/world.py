"""The local world: three farms in the protocols' own code, an exchange to sell rewards on, and time that can be moved.

A wallet (``FARMER``) is staked in all three farms; its twin has exactly the same stakes and never touches them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from keeper.abi import Fn
from keeper.chain.anvil import LocalNode
from keeper.chain.client import EvmChain, open_chain
from keeper.devnet.accounts import DEPLOYER, FARMER, TWIN, WHALE, Account
from keeper.devnet.market import (
    BASE_FEE_WEI,
    BLOCK_SECONDS,
    CHAIN_ID,
    CHAIN_NAME,
    CHEF_PID,
    MULTICALL3,
    POOLS,
    PRICES,
    TOKENS,
)
from keeper.devnet.positions import chain_facts, positions, range_position
from keeper.devnet.snapshot import load_or_deploy
from keeper.devnet.start import mine_at, mine_until, notify_farm, send, start_emissions
from keeper.devnet.trading import trade
from keeper.domain.events import Event
from keeper.domain.facts import ChainFacts
from keeper.domain.money import Address, Amount, Token
from keeper.domain.position import Position
from keeper.ports import EventSink

__all__ = ["World", "build_world"]

_BALANCE_OF: Final = Fn("balanceOf(address)", "uint256")
_SET_ANSWER: Final = Fn("setAnswer(int256)")
_SET_UPDATED_AT: Final = Fn("setUpdatedAt(uint256)")
_SET_FRESH: Final = Fn("setFresh(bool)")


class _Silent:
    """Drops events: the world has no operator to tell."""

    def emit(self, event: Event) -> None:
        """Drop it."""


@dataclass(frozen=True, slots=True)
class World:
    """A deployed world on a running node. Addresses are the same in every run."""

    node: LocalNode
    #: Everything deployed, by name; the fields below are the ones with a name of their own.
    addresses: Mapping[str, Address]
    #: Block and time (unix seconds) at which the emissions had started.
    genesis_block: int
    genesis_time: int

    #: Its chain port; ``reconnected`` makes a new one.
    chain: EvmChain

    chain_name: str = CHAIN_NAME
    chain_id: int = CHAIN_ID
    multicall3: Address = MULTICALL3
    deployer: Account = DEPLOYER
    #: The wallet that keeper works for.
    farmer: Account = FARMER
    #: Same stakes, never touched.
    twin: Account = TWIN
    whale: Account = WHALE
    #: Pool id of the SUSHI/WETH LP in the chef.
    chef_pid: int = CHEF_PID

    @property
    def rpc_url(self) -> str:
        """HTTP JSON-RPC address."""
        return self.node.url

    @property
    def facts(self) -> ChainFacts:
        """The chain's facts."""
        return chain_facts(self.addresses)

    @property
    def positions(self) -> tuple[Position, ...]:
        """The farmer's three positions: uni-farm, sushi-chef, usdc-aave."""
        return positions(self.addresses)

    @property
    def range_position(self) -> Position:
        """The farmer's NFT in the Uniswap V3 pool: v3-range. It earns only what ``trade`` pays."""
        return range_position(self.addresses)

    def trade(self, usd: int) -> None:
        """Trade so many dollars to and fro in the Uniswap V3 pool, which leaves its price and pays its ranges fees."""
        trade(self.node, self.addresses, usd)

    def reconnected(self, events: EventSink | None = None) -> World:
        """Return the same world with a new chain port, which has seen nothing yet (for use after ``revert``)."""
        return replace(self, chain=open_chain(self.facts, [self.node.url], events=events or _Silent()))

    # ------------------------------------------------------------------ tokens

    def token(self, symbol: str) -> Token:
        """Return WETH, USDC, DAI, UNI, SUSHI, AAVE, LINK or SHIB."""
        decimals = {plan.symbol: plan.decimals for plan in TOKENS}
        return Token(CHAIN_NAME, self.addresses[symbol.lower()], symbol, decimals.get(symbol, 18))

    def lp(self, pool: str) -> Token:
        """Return the LP token (which is the pair) of weth_usdc, uni_weth, sushi_weth or aave_weth."""
        return Token(CHAIN_NAME, self.addresses[f"pair_{pool}"], "UNI-V2", 18)

    def feed(self, symbol: str) -> Address:
        """Return the USD price feed of a token."""
        return self.addresses[f"feed_{symbol.lower()}"]

    @property
    def weth(self) -> Token:
        """Wrapped ether."""
        return self.token("WETH")

    @property
    def usdc(self) -> Token:
        """US dollars with 6 decimals; what is supplied to Aave."""
        return self.token("USDC")

    @property
    def uni(self) -> Token:
        """Reward of the StakingRewards farm."""
        return self.token("UNI")

    @property
    def sushi(self) -> Token:
        """Reward of the chef, and one side of its LP."""
        return self.token("SUSHI")

    @property
    def aave(self) -> Token:
        """Reward of supplied USDC."""
        return self.token("AAVE")

    @property
    def a_usdc(self) -> Token:
        """Aave's receipt for supplied USDC; grows by itself."""
        return Token(CHAIN_NAME, self.addresses["a_usdc"], "aUSDC", 6)

    @property
    def unrelated(self) -> tuple[Token, ...]:
        """Tokens in the farmer's wallet that have nothing to do with any position."""
        return tuple(self.token(symbol) for symbol in ("DAI", "LINK", "SHIB"))

    @property
    def tokens(self) -> tuple[Token, ...]:
        """Every ERC-20 of the world, LP tokens and receipts included."""
        plain = tuple(self.token(symbol) for symbol in dict.fromkeys([*PRICES, *(plan.symbol for plan in TOKENS)]))
        return (*plain, *(self.lp(plan.name) for plan in POOLS), self.a_usdc)

    # ------------------------------------------------------------------ contracts

    @property
    def router(self) -> Address:
        """Uniswap V2 router."""
        return self.addresses["router"]

    @property
    def factory(self) -> Address:
        """Uniswap V2 factory."""
        return self.addresses["factory"]

    @property
    def farm(self) -> Address:
        """StakingRewards: stake the WETH/USDC LP, earn UNI."""
        return self.addresses["farm"]

    @property
    def chef(self) -> Address:
        """MasterChef: stake the SUSHI/WETH LP in pool ``chef_pid``, earn SUSHI."""
        return self.addresses["chef"]

    @property
    def aave_pool(self) -> Address:
        """Aave v3 pool: supply USDC, earn AAVE."""
        return self.addresses["aave_pool"]

    @property
    def rewards_controller(self) -> Address:
        """Aave's RewardsController."""
        return self.addresses["rewards_controller"]

    # ------------------------------------------------------------------ time and gas

    @property
    def now(self) -> int:
        """Timestamp of the newest block, unix seconds."""
        return int(self.node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    @property
    def block_number(self) -> int:
        """Number of the newest block."""
        return int(self.node.rpc("eth_blockNumber"), 16)

    def advance(self, seconds: int, *, block_seconds: int = BLOCK_SECONDS, base_fee_wei: int = BASE_FEE_WEI) -> None:
        """Let time pass: mine so many blocks that height and time stay in step, then set the base fee.

        Blocks that transactions have mined in the meantime count, so per-block farms pay what they would on a chain
        with a block every ``block_seconds``. Base fees of empty blocks fall, hence ``base_fee_wei`` afterwards.
        """
        due = self.genesis_block + (self.now + seconds - self.genesis_time) // block_seconds
        blocks = max(2, due - self.block_number)
        mine_until(self.node, self.now + seconds, blocks=blocks, base_fee_wei=base_fee_wei)

    def set_base_fee(self, wei: int) -> None:
        """Mine a block with this base fee, and let the next one have it too: that is what a transaction now pays."""
        mine_at(self.node, wei)

    def snapshot(self) -> str:
        """Remember the chain as it is; hand the result to ``revert``."""
        return str(self.node.rpc("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        """Put the chain back to a snapshot, which is used up by this."""
        self.node.rpc("evm_revert", snapshot)
        self.node.rpc("anvil_setNextBlockBaseFeePerGas", hex(BASE_FEE_WEI))

    # ------------------------------------------------------------------ what the farms and feeds do

    def set_price(self, symbol: str, usd_e8: int) -> None:
        """Set a feed's answer, in US dollars times 10**8. Pools keep their price."""
        self._send(self.feed(symbol), _SET_ANSWER.encode(usd_e8))

    def freeze_feed(self, symbol: str, updated_at: int) -> None:
        """Let a feed report this ``updatedAt`` from now on: a stale feed."""
        self._send(self.feed(symbol), _SET_UPDATED_AT.encode(updated_at))

    def thaw_feed(self, symbol: str) -> None:
        """Let a feed's answer be new in every block again."""
        self._send(self.feed(symbol), _SET_FRESH.encode(True))

    def renew_farm(self) -> None:
        """Start the next reward period of the StakingRewards farm, which holds the rewards for it already."""
        notify_farm(self.node, self.addresses)

    def balance_of(self, token: Token, owner: Address) -> Amount:
        """Balance of a token in the newest block."""
        request = {"to": token.address, "data": "0x" + _BALANCE_OF.encode(owner).hex()}
        return Amount(token, int(self.node.rpc("eth_call", request, "latest"), 16))

    def _send(self, to: Address, data: bytes) -> None:
        send(self.node, DEPLOYER.address, to, data)


def build_world(node: LocalNode) -> World:
    """Put the world on an empty node (chain id 31337): from the kept state, or by deploying it once.

    Takes a quarter of a second from the kept state; the first time, several seconds. Chain time starts now.
    """
    addresses = load_or_deploy(node, _deploy)
    start_emissions(node, addresses)
    mine_at(node, BASE_FEE_WEI)
    head = node.rpc("eth_getBlockByNumber", "latest", False)
    chain = open_chain(chain_facts(addresses), [node.url], events=_Silent())
    return World(node, addresses, int(head["number"], 16), int(head["timestamp"], 16), chain)


def _deploy(node: LocalNode) -> Mapping[str, Address]:
    from keeper.devnet.build import deploy_world  # noqa: PLC0415 - web3 costs a second, and only the first start needs it

    return deploy_world(node)
