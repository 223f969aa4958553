// SPDX-License-Identifier: MIT
pragma solidity 0.8.28;

// Stand-ins for PancakeSwap's MasterChefV3 and the reward pool (LM pool) that each of its V3 pools names. The position
// manager and the pools are Uniswap's own; DevLmShim gives a pool the one thing that it lacks, `lmPool()`.
//
// Kept of the original: rewards by in-range (boosted) liquidity and by periods that `upkeep` opens; views that are as of
// the last swap or call (`pendingCake` says 0 while `harvest` pays); calls of others refused with NotOwner(); a chef
// that is short of CAKE pays less without a word; `increaseLiquidity` takes all that is offered and gives back the rest.

interface IToken {
    function balanceOf(address who) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
    function approve(address spender, uint256 amount) external returns (bool);
}

interface IManager {
    struct CollectParams {
        uint256 tokenId;
        address recipient;
        uint128 amount0Max;
        uint128 amount1Max;
    }

    struct IncreaseLiquidityParams {
        uint256 tokenId;
        uint256 amount0Desired;
        uint256 amount1Desired;
        uint256 amount0Min;
        uint256 amount1Min;
        uint256 deadline;
    }

    function positions(uint256 tokenId)
        external
        view
        returns (uint96, address, address, address, uint24, int24, int24, uint128, uint256, uint256, uint128, uint128);
    function safeTransferFrom(address from, address to, uint256 tokenId) external;
    function collect(CollectParams calldata params) external payable returns (uint256, uint256);
    function increaseLiquidity(IncreaseLiquidityParams calldata params)
        external
        payable
        returns (uint128, uint256, uint256);
    function factory() external view returns (address);
}

interface IFactory {
    function getPool(address a, address b, uint24 fee) external view returns (address);
}

interface IV3Pool {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function fee() external view returns (uint24);
}

/// Rewards of one pool by range. Unlike the original it keeps a list of ranges instead of ticks.
contract DevLmPool {
    struct Range {
        int24 lower;
        int24 upper;
        uint128 liquidity;
        uint256 growth;
        bool active;
    }

    uint256 private constant Q128 = 1 << 128;
    uint256 private constant PRECISION = 1e12;

    address public immutable pool;
    DevMasterChefV3 public immutable masterChef;
    uint256 public rewardGrowthGlobalX128;
    uint128 public lmLiquidity;
    uint32 public lastRewardTimestamp;
    Range[] private ranges;

    constructor(address pool_, DevMasterChefV3 chef) {
        pool = pool_;
        masterChef = chef;
        lastRewardTimestamp = uint32(block.timestamp);
    }

    function accumulateReward(uint32 now_) public {
        if (now_ <= lastRewardTimestamp) return;
        if (lmLiquidity != 0) {
            (uint256 perSecond, uint256 endTime) = masterChef.getLatestPeriodInfo(pool);
            uint256 until = endTime < now_ ? endTime : now_;
            if (until > lastRewardTimestamp) {
                uint256 duration = until - lastRewardTimestamp;
                uint256 grown = duration * ((perSecond * Q128) / PRECISION) / lmLiquidity;
                rewardGrowthGlobalX128 += grown;
                for (uint256 i = 0; i < ranges.length; i++) if (ranges[i].active) ranges[i].growth += grown;
            }
        }
        lastRewardTimestamp = now_;
    }

    /// Which ranges the price is in now.
    function sync() public {
        (bool ok, bytes memory data) = pool.staticcall(abi.encodeWithSignature("slot0()"));
        require(ok);
        (, int24 tick) = abi.decode(data, (uint160, int24));
        uint128 total = 0;
        for (uint256 i = 0; i < ranges.length; i++) {
            ranges[i].active = ranges[i].lower <= tick && tick < ranges[i].upper;
            if (ranges[i].active) total += ranges[i].liquidity;
        }
        lmLiquidity = total;
    }

    function updatePosition(int24 lower, int24 upper, int128 delta) external {
        require(msg.sender == address(masterChef));
        Range storage range = ranges[_index(lower, upper)];
        range.liquidity = delta < 0 ? range.liquidity - uint128(-delta) : range.liquidity + uint128(delta);
        sync();
    }

    function getRewardGrowthInside(int24 lower, int24 upper) external view returns (uint256) {
        for (uint256 i = 0; i < ranges.length; i++) {
            if (ranges[i].lower == lower && ranges[i].upper == upper) return ranges[i].growth;
        }
        return 0;
    }

    function _index(int24 lower, int24 upper) private returns (uint256) {
        for (uint256 i = 0; i < ranges.length; i++) {
            if (ranges[i].lower == lower && ranges[i].upper == upper) return i;
        }
        ranges.push(Range(lower, upper, 0, 0, false));
        return ranges.length - 1;
    }
}

/// Put in the place of a pool's code, with the pool's own code elsewhere: the same pool, which names its LM pool and
/// tells it of swaps.
contract DevLmShim {
    bytes4 private constant SWAP = 0x128acb08;
    address private immutable code_;
    DevLmPool public immutable lmPool;

    constructor(address codeAt, DevLmPool lm) {
        code_ = codeAt;
        lmPool = lm;
    }

    fallback(bytes calldata data) external returns (bytes memory) {
        bool swaps = bytes4(data) == SWAP;
        if (swaps) lmPool.accumulateReward(uint32(block.timestamp));
        (bool ok, bytes memory answer) = code_.delegatecall(data);
        if (!ok) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
        if (swaps) lmPool.sync();
        return answer;
    }
}

contract DevMasterChefV3 {
    struct PoolInfo {
        uint256 allocPoint;
        address v3Pool;
        address token0;
        address token1;
        uint24 fee;
        uint256 totalLiquidity;
        uint256 totalBoostLiquidity;
    }

    struct UserPositionInfo {
        uint128 liquidity;
        uint128 boostLiquidity;
        int24 tickLower;
        int24 tickUpper;
        uint256 rewardGrowthInside;
        uint256 reward;
        address user;
        uint256 pid;
        uint256 boostMultiplier;
    }

    error NotOwner();
    error NoLiquidity();
    error InvalidNFT();
    error NotPancakeNFT();
    error InvalidPid();
    error InvalidPeriodDuration();

    event Harvest(address indexed sender, address to, uint256 indexed pid, uint256 indexed tokenId, uint256 reward);

    uint256 private constant Q128 = 1 << 128;
    uint256 public constant PRECISION = 1e12;
    uint256 public constant BOOST_PRECISION = 100 * 1e10;

    IToken public immutable CAKE;
    IManager public immutable nonfungiblePositionManager;
    address public immutable receiver;

    uint256 public poolLength;
    uint256 public totalAllocPoint;
    uint256 public latestPeriodNumber;
    uint256 public latestPeriodStartTime;
    uint256 public latestPeriodEndTime;
    uint256 public latestPeriodCakePerSecond;
    mapping(uint256 => PoolInfo) public poolInfo;
    mapping(address => uint256) public v3PoolAddressPid;
    mapping(uint256 => UserPositionInfo) public userPositionInfos;
    mapping(uint256 => DevLmPool) public lmPools;
    mapping(address => uint256[]) private held;

    constructor(IToken cake, IManager manager) {
        CAKE = cake;
        nonfungiblePositionManager = manager;
        receiver = msg.sender;
    }

    // ---------------------------------------------------------------- the owner's

    function add(uint256 allocPoint, address v3Pool) external {
        if (msg.sender != receiver) revert NotOwner();
        uint256 pid = ++poolLength;
        IV3Pool pool = IV3Pool(v3Pool);
        poolInfo[pid] = PoolInfo(allocPoint, v3Pool, pool.token0(), pool.token1(), pool.fee(), 0, 0);
        v3PoolAddressPid[v3Pool] = pid;
        lmPools[pid] = new DevLmPool(v3Pool, this);
        totalAllocPoint += allocPoint;
    }

    function upkeep(uint256 amount, uint256 duration, bool) external {
        if (msg.sender != receiver) revert NotOwner();
        if (duration < 1 days || duration > 30 days) revert InvalidPeriodDuration();
        _accumulateAll();
        uint256 left = latestPeriodEndTime > block.timestamp
            ? (latestPeriodEndTime - block.timestamp) * latestPeriodCakePerSecond
            : 0;
        CAKE.transferFrom(msg.sender, address(this), amount);
        latestPeriodNumber++;
        latestPeriodStartTime = block.timestamp;
        latestPeriodEndTime = block.timestamp + duration;
        latestPeriodCakePerSecond = (amount * PRECISION + left) / duration;
    }

    function setBoost(uint256 tokenId, uint256 multiplier) external {
        if (msg.sender != receiver) revert NotOwner();
        userPositionInfos[tokenId].boostMultiplier = multiplier;
        _harvest(tokenId, address(0));
        _update(tokenId);
    }

    // ---------------------------------------------------------------- views

    function getLatestPeriodInfoByPid(uint256 pid) public view returns (uint256 cakePerSecond, uint256 endTime) {
        if (totalAllocPoint > 0) {
            cakePerSecond = (latestPeriodCakePerSecond * poolInfo[pid].allocPoint) / totalAllocPoint;
        }
        endTime = latestPeriodEndTime;
    }

    function getLatestPeriodInfo(address v3Pool) external view returns (uint256, uint256) {
        return getLatestPeriodInfoByPid(v3PoolAddressPid[v3Pool]);
    }

    function pendingCake(uint256 tokenId) external view returns (uint256 reward) {
        UserPositionInfo memory info = userPositionInfos[tokenId];
        if (info.pid == 0) return 0;
        uint256 inside = lmPools[info.pid].getRewardGrowthInside(info.tickLower, info.tickUpper);
        return ((inside - info.rewardGrowthInside) * info.boostLiquidity) / Q128 + info.reward;
    }

    function balanceOf(address owner) external view returns (uint256) {
        return held[owner].length;
    }

    function tokenOfOwnerByIndex(address owner, uint256 index) external view returns (uint256) {
        return held[owner][index];
    }

    // ---------------------------------------------------------------- stake and harvest

    function onERC721Received(address, address from, uint256 tokenId, bytes calldata) external returns (bytes4) {
        if (msg.sender != address(nonfungiblePositionManager)) revert NotPancakeNFT();
        (,, address a, address b, uint24 fee, int24 lower, int24 upper, uint128 liquidity,,,,) =
            nonfungiblePositionManager.positions(tokenId);
        if (liquidity == 0) revert NoLiquidity();
        uint256 pid = v3PoolAddressPid[IFactory(nonfungiblePositionManager.factory()).getPool(a, b, fee)];
        if (pid == 0) revert InvalidNFT();
        UserPositionInfo storage info = userPositionInfos[tokenId];
        (info.tickLower, info.tickUpper, info.user, info.pid) = (lower, upper, from, pid);
        info.boostMultiplier = BOOST_PRECISION;
        lmPools[pid].accumulateReward(uint32(block.timestamp));
        _update(tokenId);
        info.rewardGrowthInside = lmPools[pid].getRewardGrowthInside(lower, upper);
        held[from].push(tokenId);
        return this.onERC721Received.selector;
    }

    function harvest(uint256 tokenId, address to) external returns (uint256) {
        UserPositionInfo storage info = userPositionInfos[tokenId];
        if (info.user != msg.sender) revert NotOwner();
        if (info.liquidity == 0 && info.reward == 0) revert NoLiquidity();
        return _harvest(tokenId, to);
    }

    function withdraw(uint256 tokenId, address to) external {
        UserPositionInfo storage info = userPositionInfos[tokenId];
        if (info.user != msg.sender) revert NotOwner();
        _harvest(tokenId, to);
        lmPools[info.pid].updatePosition(info.tickLower, info.tickUpper, -int128(info.boostLiquidity));
        poolInfo[info.pid].totalLiquidity -= info.liquidity;
        poolInfo[info.pid].totalBoostLiquidity -= info.boostLiquidity;
        uint256[] storage mine = held[msg.sender];
        for (uint256 i = 0; i < mine.length; i++) {
            if (mine[i] == tokenId) {
                mine[i] = mine[mine.length - 1];
                mine.pop();
                break;
            }
        }
        delete userPositionInfos[tokenId];
        nonfungiblePositionManager.safeTransferFrom(address(this), to, tokenId);
    }

    function collect(IManager.CollectParams memory params) external returns (uint256, uint256) {
        if (userPositionInfos[params.tokenId].user != msg.sender) revert NotOwner();
        if (params.recipient == address(0)) params.recipient = address(this);
        return nonfungiblePositionManager.collect(params);
    }

    function increaseLiquidity(IManager.IncreaseLiquidityParams memory params)
        external
        payable
        returns (uint128 liquidity, uint256 amount0, uint256 amount1)
    {
        UserPositionInfo storage info = userPositionInfos[params.tokenId];
        if (info.pid == 0) revert InvalidPid();
        IToken token0 = IToken(poolInfo[info.pid].token0);
        IToken token1 = IToken(poolInfo[info.pid].token1);
        _take(token0, params.amount0Desired);
        _take(token1, params.amount1Desired);
        (liquidity, amount0, amount1) = nonfungiblePositionManager.increaseLiquidity(params);
        if (params.amount0Desired > amount0) token0.transfer(msg.sender, params.amount0Desired - amount0);
        if (params.amount1Desired > amount1) token1.transfer(msg.sender, params.amount1Desired - amount1);
        _harvest(params.tokenId, address(0));
        _update(params.tokenId);
    }

    function updateLiquidity(uint256 tokenId) external {
        if (userPositionInfos[tokenId].pid == 0) revert InvalidPid();
        _harvest(tokenId, address(0));
        _update(tokenId);
    }

    // ---------------------------------------------------------------- inside

    function _take(IToken token, uint256 amount) private {
        if (amount == 0) return;
        require(token.transferFrom(msg.sender, address(this), amount), "transfer");
        token.approve(address(nonfungiblePositionManager), amount);
    }

    function _harvest(uint256 tokenId, address to) private returns (uint256 reward) {
        UserPositionInfo storage info = userPositionInfos[tokenId];
        if (info.liquidity == 0 && info.reward == 0) return 0;
        DevLmPool lm = lmPools[info.pid];
        lm.accumulateReward(uint32(block.timestamp));
        uint256 inside = lm.getRewardGrowthInside(info.tickLower, info.tickUpper);
        reward = ((inside - info.rewardGrowthInside) * info.boostLiquidity) / Q128 + info.reward;
        info.rewardGrowthInside = inside;
        if (reward == 0) return 0;
        if (to == address(0)) {
            info.reward = reward;
            return reward;
        }
        info.reward = 0;
        uint256 there = CAKE.balanceOf(address(this));
        CAKE.transfer(to, reward < there ? reward : there);
        emit Harvest(msg.sender, to, info.pid, tokenId, reward);
    }

    function _update(uint256 tokenId) private {
        UserPositionInfo storage info = userPositionInfos[tokenId];
        (,,,,,,, uint128 liquidity,,,,) = nonfungiblePositionManager.positions(tokenId);
        uint128 boosted = uint128((uint256(liquidity) * info.boostMultiplier) / BOOST_PRECISION);
        PoolInfo storage pool = poolInfo[info.pid];
        pool.totalLiquidity = pool.totalLiquidity - info.liquidity + liquidity;
        pool.totalBoostLiquidity = pool.totalBoostLiquidity - info.boostLiquidity + boosted;
        int128 delta = int128(boosted) - int128(info.boostLiquidity);
        (info.liquidity, info.boostLiquidity) = (liquidity, boosted);
        lmPools[info.pid].updatePosition(info.tickLower, info.tickUpper, delta);
    }

    function _accumulateAll() private {
        for (uint256 pid = 1; pid <= poolLength; pid++) lmPools[pid].accumulateReward(uint32(block.timestamp));
    }
}
