// SPDX-License-Identifier: MIT
// Fakes, for local chains only. They stand in for Curve's pools of two coins, whose Vyper code is in no package
// registry: the StableSwap invariant in full (https://docs.curve.finance/references/whitepaper: amplified Newton steps,
// fees on imbalance), in the three shapes that are found: old (LP token apart, int128 everywhere, exchange without an
// answer), new (the pool is its LP token), NG (dynamic arrays). The crypto pool stands in for those with a price of
// their own (uint256 indices, gamma): a constant product, which is what they come close to far from their peg.
// Kept: calc_token_amount of old and new pools knows no fees. Left out: admin fees, ramps, withdrawals.
pragma solidity ^0.8.20;

import "./CurveDao.sol";

abstract contract DevPoolCore {
    uint256 public constant A = 200;
    uint256 internal constant N = 2;
    uint256 internal constant FEES = 10 ** 10;
    uint256 public fee;
    address[2] internal _coins;
    uint256[2] internal _balances;
    // Takes base units to 18 decimals.
    uint256[2] internal _scale;

    constructor(address[2] memory coins_, uint256 fee_) {
        (_coins, fee) = (coins_, fee_);
        for (uint256 i = 0; i < N; i++) _scale[i] = 10 ** (18 - DevCurveErc20(coins_[i]).decimals());
    }

    function _lp() internal view virtual returns (DevCurveErc20);

    function _issue(address to, uint256 value) internal virtual;

    function _invariant(uint256[2] memory x) internal pure virtual returns (uint256);

    // The other side's balance when this side holds so much, both in 18 decimals.
    function _other(uint256 x, uint256 d) internal pure virtual returns (uint256);

    function get_virtual_price() public view returns (uint256) {
        return (_invariant(_normal(_balances)) * 1e18) / _lp().totalSupply();
    }

    function _dy(uint256 i, uint256 j, uint256 dx) internal view returns (uint256) {
        uint256[2] memory x = _normal(_balances);
        uint256 y = _other(x[i] + dx * _scale[i], _invariant(x));
        uint256 dy = (x[j] - y - 1) / _scale[j];
        return dy - (dy * fee) / FEES;
    }

    function _exchange(uint256 i, uint256 j, uint256 dx, uint256 min_dy, address to) internal returns (uint256 dy) {
        require(i != j && dx > 0);
        dy = _dy(i, j, dx);
        require(dy >= min_dy, "Exchange resulted in fewer coins than expected");
        _balances[i] += dx;
        _balances[j] -= dy;
        require(DevCurveErc20(_coins[i]).transferFrom(msg.sender, address(this), dx));
        require(DevCurveErc20(_coins[j]).transfer(to, dy));
    }

    function _add(uint256[2] memory amounts, uint256 min_mint, address to) internal returns (uint256 minted) {
        uint256 supply = _lp().totalSupply();
        uint256[2] memory old = _balances;
        uint256[2] memory fresh = [old[0] + amounts[0], old[1] + amounts[1]];
        uint256 d0 = supply == 0 ? 0 : _invariant(_normal(old));
        uint256 d1 = _invariant(_normal(fresh));
        require(d1 > d0);
        _balances = fresh;
        minted = d1;
        if (supply > 0) {
            uint256[2] memory less = fresh;
            for (uint256 i = 0; i < N; i++) {
                uint256 ideal = (d1 * old[i]) / d0;
                uint256 off = ideal > fresh[i] ? ideal - fresh[i] : fresh[i] - ideal;
                less[i] = fresh[i] - (off * fee) / 2 / FEES;
            }
            minted = (supply * (_invariant(_normal(less)) - d0)) / d0;
        }
        require(minted >= min_mint, "Slippage screwed you");
        for (uint256 i = 0; i < N; i++) {
            if (amounts[i] > 0) require(DevCurveErc20(_coins[i]).transferFrom(msg.sender, address(this), amounts[i]));
        }
        _issue(to, minted);
    }

    // Without fees: always too much.
    function _calc(uint256[2] memory amounts) internal view returns (uint256) {
        uint256 d0 = _invariant(_normal(_balances));
        uint256 d1 = _invariant(_normal([_balances[0] + amounts[0], _balances[1] + amounts[1]]));
        return (_lp().totalSupply() * (d1 - d0)) / d0;
    }

    function _normal(uint256[2] memory raw) internal view returns (uint256[2] memory) {
        return [raw[0] * _scale[0], raw[1] * _scale[1]];
    }

    function _root(uint256 value) internal pure returns (uint256 root) {
        if (value == 0) return 0;
        root = value;
        uint256 next = value / 2 + 1;
        while (next < root) (root, next) = (next, (next + value / next) / 2);
    }
}

abstract contract DevStableMath is DevPoolCore {
    function _invariant(uint256[2] memory x) internal pure override returns (uint256 d) {
        uint256 sum = x[0] + x[1];
        if (sum == 0) return 0;
        d = sum;
        for (uint256 k = 0; k < 255; k++) {
            uint256 product = (((d * d) / (x[0] * N)) * d) / (x[1] * N);
            uint256 last = d;
            d = ((A * N * sum + product * N) * d) / ((A * N - 1) * d + (N + 1) * product);
            if (d > last ? d - last <= 1 : last - d <= 1) return d;
        }
        revert("no convergence");
    }

    function _other(uint256 x, uint256 d) internal pure override returns (uint256 y) {
        uint256 c = (((d * d) / (x * N)) * d) / (A * N * N);
        uint256 b = x + d / (A * N);
        y = d;
        for (uint256 k = 0; k < 255; k++) {
            uint256 last = y;
            y = (y * y + c) / (2 * y + b - d);
            if (y > last ? y - last <= 1 : last - y <= 1) return y;
        }
        revert("no convergence");
    }
}

// The pool is its own LP token.
abstract contract DevSelfLp is DevPoolCore, DevCurveErc20 {
    function coins(uint256 index) external view returns (address) {
        return _coins[index];
    }

    function balances(uint256 index) external view returns (uint256) {
        return _balances[index];
    }

    function get_dy(int128 i, int128 j, uint256 dx) external view returns (uint256) {
        return _dy(uint128(i), uint128(j), dx);
    }

    function exchange(int128 i, int128 j, uint256 dx, uint256 min_dy) external returns (uint256) {
        return _exchange(uint128(i), uint128(j), dx, min_dy, msg.sender);
    }

    function exchange(int128 i, int128 j, uint256 dx, uint256 min_dy, address to) external returns (uint256) {
        return _exchange(uint128(i), uint128(j), dx, min_dy, to);
    }

    function _lp() internal view override returns (DevCurveErc20) {
        return this;
    }

    function _issue(address to, uint256 value) internal override {
        _mint(to, value);
    }
}

contract DevStablePool is DevStableMath, DevSelfLp {
    constructor(string memory symbol_, address[2] memory coins_, uint256 fee_)
        DevPoolCore(coins_, fee_)
        DevCurveErc20(symbol_, symbol_)
    {}

    function add_liquidity(uint256[2] calldata amounts, uint256 min_mint) external returns (uint256) {
        return _add(amounts, min_mint, msg.sender);
    }

    function add_liquidity(uint256[2] calldata amounts, uint256 min_mint, address to) external returns (uint256) {
        return _add(amounts, min_mint, to);
    }

    function calc_token_amount(uint256[2] calldata amounts, bool) external view returns (uint256) {
        return _calc(amounts);
    }
}

contract DevNgPool is DevStableMath, DevSelfLp {
    constructor(string memory symbol_, address[2] memory coins_, uint256 fee_)
        DevPoolCore(coins_, fee_)
        DevCurveErc20(symbol_, symbol_)
    {}

    function N_COINS() external pure returns (uint256) {
        return N;
    }

    function stored_rates() external view returns (uint256[] memory rates) {
        rates = new uint256[](2);
        (rates[0], rates[1]) = (_scale[0] * 1e18, _scale[1] * 1e18);
    }

    function add_liquidity(uint256[] calldata amounts, uint256 min_mint) external returns (uint256) {
        return _add([amounts[0], amounts[1]], min_mint, msg.sender);
    }

    function calc_token_amount(uint256[] calldata amounts, bool) external view returns (uint256) {
        return _calc([amounts[0], amounts[1]]);
    }
}

// The LP token stands apart; it names its pool as its minter.
abstract contract DevOwnLp is DevPoolCore {
    DevCurveToken internal immutable _token;

    constructor(string memory symbol_) {
        _token = new DevCurveToken(symbol_, symbol_, 0);
    }

    function _lp() internal view override returns (DevCurveErc20) {
        return _token;
    }

    function _issue(address to, uint256 value) internal override {
        _token.mint(to, value);
    }
}

// Of the first years: its coins are counted by int128, and its functions answer nothing.
contract DevOldPool is DevStableMath, DevOwnLp {
    constructor(string memory symbol_, address[2] memory coins_, uint256 fee_)
        DevPoolCore(coins_, fee_)
        DevOwnLp(symbol_)
    {}

    function lp_token() external view returns (address) {
        return address(_token);
    }

    function coins(int128 index) external view returns (address) {
        return _coins[uint128(index)];
    }

    function balances(int128 index) external view returns (uint256) {
        return _balances[uint128(index)];
    }

    function get_dy(int128 i, int128 j, uint256 dx) external view returns (uint256) {
        return _dy(uint128(i), uint128(j), dx);
    }

    function exchange(int128 i, int128 j, uint256 dx, uint256 min_dy) external {
        _exchange(uint128(i), uint128(j), dx, min_dy, msg.sender);
    }

    function add_liquidity(uint256[2] calldata amounts, uint256 min_mint) external {
        _add(amounts, min_mint, msg.sender);
    }

    function calc_token_amount(uint256[2] calldata amounts, bool) external view returns (uint256) {
        return _calc(amounts);
    }
}

// Counts by uint256, and its LP token is worth twice the root of both coins' prices.
contract DevCryptoPool is DevOwnLp {
    uint256 public constant gamma = 145_000_000_000_000;

    constructor(string memory symbol_, address[2] memory coins_, uint256 fee_)
        DevPoolCore(coins_, fee_)
        DevOwnLp(symbol_)
    {}

    function token() external view returns (address) {
        return address(_token);
    }

    function coins(uint256 index) external view returns (address) {
        return _coins[index];
    }

    function balances(uint256 index) external view returns (uint256) {
        return _balances[index];
    }

    function get_dy(uint256 i, uint256 j, uint256 dx) external view returns (uint256) {
        return _dy(i, j, dx);
    }

    function exchange(uint256 i, uint256 j, uint256 dx, uint256 min_dy) external returns (uint256) {
        return _exchange(i, j, dx, min_dy, msg.sender);
    }

    function add_liquidity(uint256[2] calldata amounts, uint256 min_mint) external returns (uint256) {
        return _add(amounts, min_mint, msg.sender);
    }

    function calc_token_amount(uint256[2] calldata amounts) external view returns (uint256) {
        return _calc(amounts);
    }

    function _invariant(uint256[2] memory x) internal pure override returns (uint256) {
        return _root(x[0] * x[1]);
    }

    function _other(uint256 x, uint256 d) internal pure override returns (uint256) {
        return (d * d) / x;
    }
}
