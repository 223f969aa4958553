"""MasterChef V1 (SushiSwap) and its many renamed forks: pools by number, rewards per block or per second, LP stakes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from keeper.ports import ParamSpec
from keeper.protocols.chefs import BLOCK_TIME, PID
from keeper.protocols.classic_chef import ClassicChef

__all__ = ["MasterChef"]


class MasterChef(ClassicChef):
    """Adapter for https://github.com/sushiswap/masterchef/blob/master/contracts/MasterChef.sol .

    Its views are one block behind: a harvest mined in the next block pays that block's reward too.
    ``safeTransfer`` silently pays less when the chef runs short, so a short chef is reported as underfunded. Where the
    reward itself is staked, the chef counts its unpaid rewards as stakes, and so does the rate; and it would pay out of
    the stakes of others before it fell short.

    Forks of Goose's kind keep a fee of every deposit (fifth word of ``poolInfo``, basis points): declared, and charged
    to each compound. Those of Panther's kind lock up what is harvested before ``nextHarvestUntil``: harvests wait.
    """

    name = "masterchef"
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "pid": PID,
            "pending": ParamSpec("str", False, 'Pending view; default "pendingSushi(uint256,address)".'),
            "reward": ParamSpec("str", False, 'Getter of the reward token; default "sushi()".'),
            "per_block": ParamSpec("str", False, 'Getter of the emission per block; default "sushiPerBlock()".'),
            "per_second": ParamSpec("str", False, "Getter of the emission per second, for forks that count seconds."),
            "block_time_ms": BLOCK_TIME,
            "harvest": ParamSpec("str", False, 'Call of amount 0 that pays: "deposit" (default) or "withdraw".'),
            "total_alloc": ParamSpec("str", False, 'Getter of all allocation points; default "totalAllocPoint()".'),
            "pool": ParamSpec(
                "str",
                False,
                'Words of poolInfo in order, of token, alloc, last, supply, fee, _ (any other); default "token,alloc,'
                'last". Without token it is asked by lpToken(pid).',
            ),
            "deposit_fee_bps": ParamSpec("int", False, "Fee of each deposit, basis points, where poolInfo has none."),
        }
    )
