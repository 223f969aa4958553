// SPDX-License-Identifier: MIT
// Fakes, for local chains only. They stand in for Balancer's Vault (V2) and a weighted pool of two tokens by halves, whose
// code is in no package registry. Kept: pools are numbered by bytes32, tokens lie in the vault, joinPool takes one
// struct with packed userData and mints to its recipient, the sender must be the caller. Left out: exits, relayers,
// flash loans, other weights (a half makes the invariant a square root).
pragma solidity ^0.8.20;

import "./CurveDao.sol";

contract DevWeightedPool is DevCurveErc20 {
    address public immutable getVault;
    bytes32 public immutable getPoolId;
    uint256 public constant getSwapFeePercentage = 3e15;

    constructor(string memory symbol_) DevCurveErc20(symbol_, symbol_) {
        getVault = msg.sender;
        getPoolId = bytes32(uint256(uint160(address(this))) << 96 | 1);
    }

    function getNormalizedWeights() external pure returns (uint256[] memory weights) {
        weights = new uint256[](2);
        (weights[0], weights[1]) = (5e17, 5e17);
    }

    function getActualSupply() external view returns (uint256) {
        return totalSupply;
    }

    function issue(address to, uint256 value) external {
        require(msg.sender == getVault);
        _mint(to, value);
    }
}

contract DevBalancerVault {
    struct JoinPoolRequest {
        address[] assets;
        uint256[] maxAmountsIn;
        bytes userData;
        bool fromInternalBalance;
    }

    mapping(bytes32 => DevWeightedPool) private _pools;
    mapping(bytes32 => address[]) private _tokens;
    mapping(bytes32 => uint256[2]) private _balances;

    event PoolCreated(address pool);

    function create(string calldata symbol, address[] calldata tokens, uint256[2] calldata amounts) external {
        require(tokens.length == 2 && tokens[0] < tokens[1], "UNSORTED_ARRAY");
        DevWeightedPool pool = new DevWeightedPool(symbol);
        bytes32 id = pool.getPoolId();
        (_pools[id], _tokens[id], _balances[id]) = (pool, tokens, amounts);
        for (uint256 i = 0; i < 2; i++) DevCurveErc20(tokens[i]).transferFrom(msg.sender, address(this), amounts[i]);
        pool.issue(msg.sender, 2 * _root(amounts[0] * amounts[1]));
        emit PoolCreated(address(pool));
        last = address(pool);
    }

    address public last;

    function getPoolTokens(bytes32 id) external view returns (address[] memory, uint256[] memory, uint256) {
        uint256[] memory held = new uint256[](2);
        (held[0], held[1]) = (_balances[id][0], _balances[id][1]);
        return (_tokens[id], held, block.number);
    }

    function joinPool(bytes32 id, address sender, address recipient, JoinPoolRequest calldata request) external {
        require(sender == msg.sender, "USER_DOESNT_ALLOW_RELAYER");
        (uint256 kind, uint256[] memory amounts, uint256 least) =
            abi.decode(request.userData, (uint256, uint256[], uint256));
        require(kind == 1, "UNHANDLED_JOIN_KIND");
        DevWeightedPool pool = _pools[id];
        uint256 fee = pool.getSwapFeePercentage();
        uint256 before = _root(_balances[id][0] * _balances[id][1]);
        uint256[2] memory counted = _balances[id];
        for (uint256 i = 0; i < 2; i++) {
            require(request.assets[i] == _tokens[id][i], "TOKENS_MISMATCH");
            require(amounts[i] <= request.maxAmountsIn[i], "JOIN_ABOVE_MAX");
            // Half of a one-sided amount is swapped, in effect, and pays the fee.
            counted[i] += amounts[i] - (amounts[1 - i] == 0 ? (amounts[i] * fee) / 2e18 : 0);
            _balances[id][i] += amounts[i];
            if (amounts[i] > 0) DevCurveErc20(_tokens[id][i]).transferFrom(sender, address(this), amounts[i]);
        }
        uint256 out = (pool.totalSupply() * (_root(counted[0] * counted[1]) - before)) / before;
        require(out >= least, "BPT_OUT_MIN_AMOUNT");
        pool.issue(recipient, out);
    }

    // A swap without its fee, for tests: sells what the caller has approved.
    function push(bytes32 id, uint256 sold, uint256 amount) external {
        uint256[2] storage held = _balances[id];
        uint256 bought = held[1 - sold] - (held[0] * held[1]) / (held[sold] + amount) - 1;
        held[sold] += amount;
        held[1 - sold] -= bought;
        DevCurveErc20(_tokens[id][sold]).transferFrom(msg.sender, address(this), amount);
        DevCurveErc20(_tokens[id][1 - sold]).transfer(msg.sender, bought);
    }

    function _root(uint256 value) private pure returns (uint256 root) {
        if (value == 0) return 0;
        root = value;
        uint256 next = value / 2 + 1;
        while (next < root) (root, next) = (next, (next + value / next) / 2);
    }
}
