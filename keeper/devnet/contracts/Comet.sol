// SPDX-License-Identifier: MIT
// Fakes, for local chains only: they stand in for Compound III (Comet, with its base token's supply side only) and
// CometRewards. Kept from the originals: balances that grow in the view, rewards tracked in a million parts of a token
// whatever its decimals, none while the pool is below a minimum, a view of them that is no view, rewards that revert
// when the contract runs dry, and custom errors.
pragma solidity ^0.8.20;

interface IDevBase {
    function decimals() external view returns (uint8);
    function balanceOf(address who) external view returns (uint256);
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
}

contract DevComet {
    uint256 private constant _INDEX_SCALE = 1e15;
    uint256 private constant _ACCRUAL_SCALE = 1e6;
    uint256 public constant trackingIndexScale = 1e15;

    struct UserBasic {
        int104 principal;
        uint64 baseTrackingIndex;
        uint64 baseTrackingAccrued;
        uint16 assetsIn;
        uint8 reserved;
    }

    address public immutable baseToken;
    address public immutable governor;
    uint256 public immutable baseScale;
    uint256 public immutable baseTrackingSupplySpeed;
    uint256 public immutable baseMinForRewards;
    // Interest a second, fixed point of 18 digits; the original's depends on how much is lent.
    uint256 public immutable supplyRate;

    bool public isSupplyPaused;
    mapping(address => UserBasic) public userBasic;
    uint256 private _supplyIndex = _INDEX_SCALE;
    uint256 private _trackingIndex;
    uint256 private _totalPrincipal;
    uint256 private _accruedAt;

    event Supply(address indexed from, address indexed dst, uint256 amount);
    event Transfer(address indexed from, address indexed to, uint256 amount);
    event Withdraw(address indexed src, address indexed to, uint256 amount);

    error BadAsset();
    error Paused();
    error Unauthorized();

    constructor(address baseToken_, uint256 speed, uint256 minForRewards, uint256 rate) {
        baseToken = baseToken_;
        governor = msg.sender;
        baseScale = 10 ** IDevBase(baseToken_).decimals();
        baseTrackingSupplySpeed = speed;
        baseMinForRewards = minForRewards;
        supplyRate = rate;
        _accruedAt = block.timestamp;
    }

    function pause(bool supplyPaused, bool, bool, bool, bool) external {
        if (msg.sender != governor) revert Unauthorized();
        isSupplyPaused = supplyPaused;
    }

    function symbol() external pure returns (string memory) {
        return "cUSDCv3";
    }

    function decimals() external view returns (uint8) {
        return IDevBase(baseToken).decimals();
    }

    function balanceOf(address who) external view returns (uint256) {
        (uint256 index,) = _indices();
        return uint256(int256(userBasic[who].principal)) * index / _INDEX_SCALE;
    }

    function totalsBasic()
        external
        view
        returns (uint64, uint64, uint64, uint64, uint104, uint104, uint40, uint8)
    {
        return (
            uint64(_supplyIndex),
            uint64(_INDEX_SCALE),
            uint64(_trackingIndex),
            0,
            uint104(_totalPrincipal),
            0,
            uint40(_accruedAt),
            isSupplyPaused ? 1 : 0
        );
    }

    function baseTrackingAccrued(address who) external view returns (uint64) {
        return userBasic[who].baseTrackingAccrued;
    }

    function accrueAccount(address who) external {
        _accrue();
        _set(who, userBasic[who].principal);
    }

    function supply(address asset, uint256 amount) external {
        if (isSupplyPaused) revert Paused();
        if (asset != baseToken) revert BadAsset();
        require(IDevBase(asset).transferFrom(msg.sender, address(this), amount));
        _accrue();
        uint256 present = uint256(int256(userBasic[msg.sender].principal)) * _supplyIndex / _INDEX_SCALE;
        _set(msg.sender, int104(int256((present + amount) * _INDEX_SCALE / _supplyIndex)));
        emit Supply(msg.sender, msg.sender, amount);
        emit Transfer(address(0), msg.sender, amount);
    }

    function withdraw(address asset, uint256 amount) external {
        if (asset != baseToken) revert BadAsset();
        _accrue();
        uint256 present = uint256(int256(userBasic[msg.sender].principal)) * _supplyIndex / _INDEX_SCALE;
        if (amount == type(uint256).max) amount = present;
        _set(msg.sender, int104(int256((present - amount) * _INDEX_SCALE / _supplyIndex)));
        require(IDevBase(asset).transfer(msg.sender, amount));
        emit Withdraw(msg.sender, msg.sender, amount);
        emit Transfer(msg.sender, address(0), amount);
    }

    function _indices() private view returns (uint256 index, uint256 tracking) {
        uint256 passed = block.timestamp - _accruedAt;
        index = _supplyIndex + _supplyIndex * supplyRate * passed / 1e18;
        tracking = _trackingIndex;
        if (_totalPrincipal >= baseMinForRewards) {
            tracking += baseTrackingSupplySpeed * passed * baseScale / _totalPrincipal;
        }
    }

    function _accrue() private {
        (_supplyIndex, _trackingIndex) = _indices();
        _accruedAt = block.timestamp;
    }

    function _set(address who, int104 principal) private {
        UserBasic storage user = userBasic[who];
        uint256 old = uint256(int256(user.principal));
        uint256 grown = old * (_trackingIndex - user.baseTrackingIndex) / trackingIndexScale;
        user.baseTrackingAccrued += uint64(grown / (baseScale / _ACCRUAL_SCALE));
        user.baseTrackingIndex = uint64(_trackingIndex);
        user.principal = principal;
        _totalPrincipal = _totalPrincipal - old + uint256(int256(principal));
    }
}

contract DevCometRewards {
    struct RewardConfig {
        address token;
        uint64 rescaleFactor;
        bool shouldUpscale;
        uint256 multiplier;
    }

    struct RewardOwed {
        address token;
        uint256 owed;
    }

    address public immutable governor;
    mapping(address => RewardConfig) public rewardConfig;
    mapping(address => mapping(address => uint256)) public rewardsClaimed;

    event RewardClaimed(address indexed src, address indexed recipient, address indexed token, uint256 amount);

    error NotPermitted(address);
    error NotSupported(address);
    error TransferOutFailed(address, uint256);

    constructor() {
        governor = msg.sender;
    }

    function setRewardConfigWithMultiplier(address comet, address token, uint256 multiplier) external {
        if (msg.sender != governor) revert NotPermitted(msg.sender);
        uint256 scale = 10 ** IDevBase(token).decimals();
        rewardConfig[comet] = scale >= 1e6
            ? RewardConfig(token, uint64(scale / 1e6), true, multiplier)
            : RewardConfig(token, uint64(1e6 / scale), false, multiplier);
    }

    function getRewardOwed(address comet, address account) external returns (RewardOwed memory) {
        RewardConfig memory config = rewardConfig[comet];
        if (config.token == address(0)) revert NotSupported(comet);
        DevComet(comet).accrueAccount(account);
        uint256 accrued = _accrued(comet, account, config);
        uint256 claimed = rewardsClaimed[comet][account];
        return RewardOwed(config.token, accrued > claimed ? accrued - claimed : 0);
    }

    function claim(address comet, address src, bool shouldAccrue) external {
        RewardConfig memory config = rewardConfig[comet];
        if (config.token == address(0)) revert NotSupported(comet);
        if (shouldAccrue) DevComet(comet).accrueAccount(src);
        uint256 accrued = _accrued(comet, src, config);
        uint256 claimed = rewardsClaimed[comet][src];
        if (accrued <= claimed) return;
        rewardsClaimed[comet][src] = accrued;
        uint256 owed = accrued - claimed;
        if (!IDevBase(config.token).transfer(src, owed)) revert TransferOutFailed(src, owed);
        emit RewardClaimed(src, src, config.token, owed);
    }

    function _accrued(address comet, address account, RewardConfig memory config) private view returns (uint256) {
        uint256 accrued = DevComet(comet).baseTrackingAccrued(account);
        accrued = config.shouldUpscale ? accrued * config.rescaleFactor : accrued / config.rescaleFactor;
        return accrued * config.multiplier / 1e18;
    }
}
