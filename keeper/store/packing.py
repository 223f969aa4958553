"""Text of the history, packed to a fifth: all samples repeat the same names, so the names are agreed on beforehand."""

from __future__ import annotations

import zlib
from typing import Final

__all__ = ["pack", "unpack"]

#: What samples have in common. Never edited: what is on the disk cannot be read without it. Names that came later are
#: packed a little worse, that is all.
_COMMON: Final = (
    b'{"numbers":null,"prices":[],"base_usd":"1000000000000000000"}"runs_until":null,"penalty_bps":null'
    b'{"observation":{"position_id":"","block":{"chain":"ethereum","number":"","hash":"0x","timestamp":"17"},'
    b'"principal":{"token":{"chain":"ethereum","address":"0x","symbol":"USDC","decimals":"6"},"raw":"000000000000"},'
    b'"pending":[{"token":{"chain":"ethereum","address":"0x","symbol":"","decimals":"18"},"raw":""}],'
    b'"accruals":[{"per_year":{"token":{"chain":"","address":"0x","symbol":"","decimals":"18"},"raw":""},'
    b'"own_share_ppm":"","ends_at":null,"source":"chain"}],"deposits_paused":false,"harvest_paused":false,'
    b'"underfunded":[],"deposit_fee_bps":"0","restarts":[],"call_fee":[],"vault_share_ppm":null,"epoch_seconds":"0"},'
    b'"numbers":{"principal_usd":"","reward_usd":"","threshold_usd":"","budget_usd":"","cost_usd":"",'
    b'"forward_usd_per_year":"","yield_wad":"","pressure_wad":"","gas_units":"","gas_price_wei":"",'
    b'"harvests_per_year_milli":"","waiting_cost_per_day_usd":"","gain_per_year_usd":"","eta_seconds":"",'
    b'"fire_gas_price_wei":"","policy":"rule","cost_parts":{"gas_usd":"","l1_usd":"0","failure_usd":"0",'
    b'"restart_usd":"0","event_usd":"0","call_fee_usd":"0"},"gas_correction_ppm":"1000000","horizon_seconds":null,'
    b'"rate_source":"chain","depth_usd":null,"usual_gas_price_wei":null,"expected_gas_price_wei":null,'
    b'"expected_in_seconds":null,"payout_usd":"0","top_up_usd":"0"},"prices":[["0x",""],["",""]],'
    b'"base_usd":"1000000000000000000"}'
)


def pack(text: str) -> bytes:
    """Pack a text."""
    packer = zlib.compressobj(zdict=_COMMON)
    return packer.compress(text.encode()) + packer.flush()


def unpack(body: bytes) -> str:
    """Return what was packed; what never was (JSON of earlier versions) comes back as it is.

    Raises:
        ValueError: when the bytes are neither.
    """
    if body[:1] == b"{":
        return body.decode()
    opener = zlib.decompressobj(zdict=_COMMON)
    try:
        text = opener.decompress(body) + opener.flush()
    except zlib.error as error:
        raise ValueError(f"not a packed text: {error}") from error
    if not opener.eof:
        raise ValueError("not a packed text: it is cut short")
    return text.decode()
