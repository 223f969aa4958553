// SPDX-License-Identifier: MIT
// Fakes, for local chains only. They stand in for Slipstream (concentrated liquidity of Velodrome and Aerodrome): the
// gauge, its factory and the pool's further views, over the real Uniswap V3 pool and position manager.
// Kept of the originals: names and types of all functions that keepers call, rewards for staked liquidity in range only,
// owner-only claims, the penalty on early claims that every deposit starts anew, withdrawals that pay, killed gauges.
// Left out: the fees of stakers going to voters, reward growth by ticks (the few stakes here are settled one by one).
pragma solidity ^0.8.20;

interface IRangePool {
    function slot0() external view returns (uint160, int24, uint16, uint16, uint16, uint8, bool);
    function token0() external view returns (address);
    function token1() external view returns (address);
    function tickSpacing() external view returns (int24);
}

interface IRangeManager {
    struct Collect {
        uint256 tokenId;
        address recipient;
        uint128 amount0Max;
        uint128 amount1Max;
    }

    function ownerOf(uint256) external view returns (address);
    function collect(Collect calldata) external returns (uint256, uint256);
    function safeTransferFrom(address, address, uint256) external;
    function positions(uint256)
        external
        view
        returns (uint96, address, address, address, uint24, int24, int24, uint128, uint256, uint256, uint128, uint128);
}

interface IRewardToken {
    function balanceOf(address) external view returns (uint256);
    function transfer(address, uint256) external returns (bool);
    function transferFrom(address, address, uint256) external returns (bool);
}

interface ILiveness {
    function isAlive(address) external view returns (bool);
}

contract DevCLGaugeFactory {
    uint256 public penaltyRate;
    mapping(address => uint256) public minStakeTimes;

    function setPenaltyRate(uint256 bps) external {
        penaltyRate = bps;
    }

    function setMinStakeTime(address pool, uint256 duration) external {
        minStakeTimes[pool] = duration;
    }
}

// The pool as Slipstream's looks: slot0 has a word less, and staked liquidity is counted.
contract DevCLPool {
    IRangePool public immutable behind;
    DevCLGauge public gauge;

    constructor(IRangePool behind_) {
        behind = behind_;
    }

    function setGauge(DevCLGauge gauge_) external {
        gauge = gauge_;
    }

    function slot0() external view returns (uint160 price, int24 tick, uint16 a, uint16 b, uint16 c, bool unlocked) {
        (price, tick, a, b, c, , unlocked) = behind.slot0();
    }

    function token0() external view returns (address) {
        return behind.token0();
    }

    function token1() external view returns (address) {
        return behind.token1();
    }

    function tickSpacing() external view returns (int24) {
        return behind.tickSpacing();
    }

    function stakedLiquidity() external view returns (uint128) {
        return gauge.inRange();
    }
}

contract DevCLGauge {
    DevCLPool public immutable pool;
    IRangeManager public immutable nft;
    IRewardToken public immutable rewardToken;
    ILiveness public immutable voter;
    DevCLGaugeFactory public immutable gaugeFactory;
    address public constant minter = address(0xfee);
    uint256 public rewardRate;
    uint256 public periodFinish;
    uint256 public lastUpdated;
    mapping(uint256 => uint256) public depositTimestamp;
    mapping(uint256 => uint256) public rewards;

    struct Stake {
        uint256 tokenId;
        address depositor;
        int24 lower;
        int24 upper;
        uint128 liquidity;
    }

    Stake[] private stakes;

    event Deposit(address indexed user, uint256 indexed tokenId, uint128 indexed liquidity);
    event Withdraw(address indexed user, uint256 indexed tokenId, uint128 indexed liquidity);
    event ClaimRewards(address indexed from, uint256 amount);

    constructor(DevCLPool p, IRangeManager manager, IRewardToken reward, ILiveness v, DevCLGaugeFactory factory) {
        (pool, nft, rewardToken, voter, gaugeFactory) = (p, manager, reward, v, factory);
    }

    function inRange() public view returns (uint128 total) {
        for (uint256 i = 0; i < stakes.length; i++) if (_within(stakes[i])) total += stakes[i].liquidity;
    }

    function stakedContains(address depositor, uint256 tokenId) public view returns (bool) {
        for (uint256 i = 0; i < stakes.length; i++) {
            if (stakes[i].tokenId == tokenId) return stakes[i].depositor == depositor;
        }
        return false;
    }

    function stakedValues(address depositor) external view returns (uint256[] memory ids) {
        uint256 count;
        for (uint256 i = 0; i < stakes.length; i++) if (stakes[i].depositor == depositor) count++;
        ids = new uint256[](count);
        for (uint256 i = stakes.length; i > 0; i--) {
            if (stakes[i - 1].depositor == depositor) ids[--count] = stakes[i - 1].tokenId;
        }
    }

    function earned(address account, uint256 tokenId) external view returns (uint256 reward) {
        require(stakedContains(account, tokenId), "NA");
        reward = rewards[tokenId];
        uint128 total = inRange();
        for (uint256 i = 0; i < stakes.length; i++) {
            if (stakes[i].tokenId == tokenId && _within(stakes[i])) reward += (_grown() * stakes[i].liquidity) / total;
        }
        reward -= _penalty(reward, tokenId);
    }

    function getReward(uint256 tokenId) external {
        require(stakedContains(msg.sender, tokenId), "NA");
        _settle();
        _pay(tokenId, msg.sender);
    }

    // Of an account, for the voter only.
    function getReward(address) external view {
        require(msg.sender == address(voter), "NV");
    }

    function deposit(uint256 tokenId) external {
        require(nft.ownerOf(tokenId) == msg.sender, "NA");
        require(voter.isAlive(address(this)), "GK");
        (, , address token0, address token1, , int24 lower, int24 upper, uint128 liquidity, , , , ) = nft.positions(tokenId);
        require(token0 == pool.token0() && token1 == pool.token1(), "PM");
        nft.collect(IRangeManager.Collect(tokenId, msg.sender, type(uint128).max, type(uint128).max));
        nft.safeTransferFrom(msg.sender, address(this), tokenId);
        _settle();
        stakes.push(Stake(tokenId, msg.sender, lower, upper, liquidity));
        depositTimestamp[tokenId] = block.timestamp;
        emit Deposit(msg.sender, tokenId, liquidity);
    }

    function withdraw(uint256 tokenId) external {
        require(stakedContains(msg.sender, tokenId), "NA");
        _settle();
        _pay(tokenId, msg.sender);
        for (uint256 i = 0; i < stakes.length; i++) {
            if (stakes[i].tokenId != tokenId) continue;
            emit Withdraw(msg.sender, tokenId, stakes[i].liquidity);
            stakes[i] = stakes[stakes.length - 1];
            stakes.pop();
            break;
        }
        delete depositTimestamp[tokenId];
        nft.safeTransferFrom(address(this), msg.sender, tokenId);
    }

    function notifyRewardAmount(uint256 amount) external {
        notifyRewardWeeks(amount, 1);
    }

    // Not in the original: several epochs at once, so that a local chain needs no voter each week.
    function notifyRewardWeeks(uint256 amount, uint256 weeksAhead) public {
        _settle();
        uint256 left = weeksAhead * 7 days - (block.timestamp % 7 days);
        uint256 rest = block.timestamp < periodFinish ? (periodFinish - block.timestamp) * rewardRate : 0;
        rewardToken.transferFrom(msg.sender, address(this), amount);
        rewardRate = (amount + rest) / left;
        periodFinish = block.timestamp + left;
    }

    function onERC721Received(address, address, uint256, bytes calldata) external pure returns (bytes4) {
        return this.onERC721Received.selector;
    }

    function _within(Stake storage stake) private view returns (bool) {
        (, int24 tick, , , , ) = pool.slot0();
        return stake.lower <= tick && tick < stake.upper;
    }

    function _grown() private view returns (uint256) {
        uint256 until = block.timestamp < periodFinish ? block.timestamp : periodFinish;
        return until > lastUpdated ? (until - lastUpdated) * rewardRate : 0;
    }

    function _settle() private {
        uint128 total = inRange();
        for (uint256 i = 0; i < stakes.length; i++) {
            if (_within(stakes[i])) rewards[stakes[i].tokenId] += (_grown() * stakes[i].liquidity) / total;
        }
        lastUpdated = block.timestamp;
    }

    function _penalty(uint256 reward, uint256 tokenId) private view returns (uint256) {
        if (block.timestamp >= depositTimestamp[tokenId] + gaugeFactory.minStakeTimes(address(pool))) return 0;
        return (reward * gaugeFactory.penaltyRate()) / 10000;
    }

    function _pay(uint256 tokenId, address to) private {
        uint256 reward = rewards[tokenId];
        if (reward == 0) return;
        delete rewards[tokenId];
        uint256 penalty = _penalty(reward, tokenId);
        if (penalty > 0) require(rewardToken.transfer(minter, penalty));
        reward -= penalty;
        if (reward > 0) require(rewardToken.transfer(to, reward));
        emit ClaimRewards(to, reward);
    }
}
