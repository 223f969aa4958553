// SPDX-License-Identifier: MIT
// Fakes, for local chains only: SushiSwap's MasterChefV2 (fed by a pool of the first MasterChef when anybody asks),
// MiniChefV2 (per second, pays out of what it holds) and ComplexRewarderTime (a second reward, at its own rate).
// All of them revert when they hold less than is due.
pragma solidity ^0.8.20;

interface ISushi {
    function balanceOf(address) external view returns (uint256);
    function approve(address, uint256) external returns (bool);
    function transfer(address, uint256) external returns (bool);
    function transferFrom(address, address, uint256) external returns (bool);
}

interface IOldChef {
    function deposit(uint256, uint256) external;
    function poolInfo(uint256) external view returns (address, uint256, uint256, uint256);
    function totalAllocPoint() external view returns (uint256);
    function sushiPerBlock() external view returns (uint256);
}

interface IRewarder {
    function onSushiReward(uint256 pid, address user, address to, uint256 sushiAmount, uint256 amount) external;
}

abstract contract DevChefs {
    struct UserInfo {
        uint256 amount;
        int256 rewardDebt;
    }

    struct PoolInfo {
        uint128 accSushiPerShare;
        uint64 last;
        uint64 allocPoint;
    }

    ISushi public immutable SUSHI;
    address public immutable owner;
    PoolInfo[] public poolInfo;
    ISushi[] public lpToken;
    IRewarder[] public rewarder;
    mapping(uint256 => mapping(address => UserInfo)) public userInfo;
    uint256 public totalAllocPoint;
    uint256 internal constant PRECISION = 1e12;

    event Deposit(address indexed user, uint256 indexed pid, uint256 amount, address indexed to);
    event Harvest(address indexed user, uint256 indexed pid, uint256 amount);

    constructor(ISushi sushi) {
        (SUSHI, owner) = (sushi, msg.sender);
    }

    modifier onlyOwner() {
        require(msg.sender == owner, "Ownable: caller is not the owner");
        _;
    }

    // Block number, or timestamp.
    function _clock() internal view virtual returns (uint256);

    // Emission of one step of that clock.
    function _perStep() internal view virtual returns (uint256);

    function poolLength() external view returns (uint256) {
        return poolInfo.length;
    }

    function add(uint256 allocPoint, ISushi lp, IRewarder with) external onlyOwner {
        totalAllocPoint += allocPoint;
        lpToken.push(lp);
        rewarder.push(with);
        poolInfo.push(PoolInfo(0, uint64(_clock()), uint64(allocPoint)));
    }

    function pendingSushi(uint256 pid, address who) external view returns (uint256) {
        UserInfo memory user = userInfo[pid][who];
        return uint256(int256((user.amount * _updated(pid).accSushiPerShare) / PRECISION) - user.rewardDebt);
    }

    function deposit(uint256 pid, uint256 amount, address to) external {
        PoolInfo memory pool = poolInfo[pid] = _updated(pid);
        UserInfo storage user = userInfo[pid][to];
        user.amount += amount;
        user.rewardDebt += int256((amount * pool.accSushiPerShare) / PRECISION);
        if (address(rewarder[pid]) != address(0)) rewarder[pid].onSushiReward(pid, to, to, 0, user.amount);
        lpToken[pid].transferFrom(msg.sender, address(this), amount);
        emit Deposit(msg.sender, pid, amount, to);
    }

    function harvest(uint256 pid, address to) external {
        PoolInfo memory pool = poolInfo[pid] = _updated(pid);
        UserInfo storage user = userInfo[pid][msg.sender];
        int256 accumulated = int256((user.amount * pool.accSushiPerShare) / PRECISION);
        uint256 due = uint256(accumulated - user.rewardDebt);
        user.rewardDebt = accumulated;
        if (due != 0) _send(SUSHI, to, due);
        if (address(rewarder[pid]) != address(0)) rewarder[pid].onSushiReward(pid, msg.sender, to, due, user.amount);
        emit Harvest(msg.sender, pid, due);
    }

    function _updated(uint256 pid) internal view returns (PoolInfo memory pool) {
        pool = poolInfo[pid];
        uint256 supply = lpToken[pid].balanceOf(address(this));
        if (_clock() > pool.last && supply > 0) {
            uint256 earned = ((_clock() - pool.last) * _perStep() * pool.allocPoint) / totalAllocPoint;
            pool.accSushiPerShare += uint128((earned * PRECISION) / supply);
        }
        pool.last = uint64(_clock());
    }

    function _send(ISushi token, address to, uint256 amount) internal {
        (bool done, bytes memory answer) = address(token).call(abi.encodeCall(ISushi.transfer, (to, amount)));
        require(done && (answer.length == 0 || abi.decode(answer, (bool))), "BoringERC20: Transfer failed");
    }
}

contract DevMasterChefV2 is DevChefs {
    IOldChef public immutable MASTER_CHEF;
    uint256 public immutable MASTER_PID;

    constructor(IOldChef chef, ISushi sushi, uint256 masterPid) DevChefs(sushi) {
        (MASTER_CHEF, MASTER_PID) = (chef, masterPid);
    }

    // Stakes the dummy token that the caller has in the first chef.
    function init(ISushi dummy) external {
        uint256 amount = dummy.balanceOf(msg.sender);
        dummy.transferFrom(msg.sender, address(this), amount);
        dummy.approve(address(MASTER_CHEF), amount);
        MASTER_CHEF.deposit(MASTER_PID, amount);
    }

    function sushiPerBlock() public view returns (uint256) {
        (, uint256 alloc, , ) = MASTER_CHEF.poolInfo(MASTER_PID);
        return (MASTER_CHEF.sushiPerBlock() * alloc) / MASTER_CHEF.totalAllocPoint();
    }

    function harvestFromMasterChef() external {
        MASTER_CHEF.deposit(MASTER_PID, 0);
    }

    function _clock() internal view override returns (uint256) {
        return block.number;
    }

    function _perStep() internal view override returns (uint256) {
        return sushiPerBlock();
    }
}

contract DevMiniChef is DevChefs {
    uint256 public sushiPerSecond;

    constructor(ISushi sushi) DevChefs(sushi) {}

    function setSushiPerSecond(uint256 rate) external onlyOwner {
        sushiPerSecond = rate;
    }

    function _clock() internal view override returns (uint256) {
        return block.timestamp;
    }

    function _perStep() internal view override returns (uint256) {
        return sushiPerSecond;
    }
}

contract DevRewarderTime is IRewarder {
    struct UserInfo {
        uint256 amount;
        uint256 rewardDebt;
    }

    ISushi public immutable rewardToken;
    DevChefs public immutable chef;
    uint256 public rewardPerSecond;
    uint256 private _accumulated;
    uint256 private _last;
    mapping(uint256 => mapping(address => UserInfo)) public userInfo;

    event LogOnReward(address indexed user, uint256 indexed pid, uint256 amount, address indexed to);

    constructor(ISushi token, DevChefs chef_, uint256 perSecond) {
        (rewardToken, chef, rewardPerSecond, _last) = (token, chef_, perSecond, block.timestamp);
    }

    function pendingTokens(uint256 pid, address who, uint256) external view returns (ISushi[] memory, uint256[] memory) {
        UserInfo memory user = userInfo[pid][who];
        ISushi[] memory tokens = new ISushi[](1);
        uint256[] memory amounts = new uint256[](1);
        tokens[0] = rewardToken;
        amounts[0] = (user.amount * _updated(pid)) / 1e18 - user.rewardDebt;
        return (tokens, amounts);
    }

    function onSushiReward(uint256 pid, address who, address to, uint256, uint256 amount) external {
        require(msg.sender == address(chef), "Only MCV2 can call this function.");
        (_accumulated, _last) = (_updated(pid), block.timestamp);
        UserInfo storage user = userInfo[pid][who];
        uint256 due = (user.amount * _accumulated) / 1e18 - user.rewardDebt;
        (user.amount, user.rewardDebt) = (amount, (amount * _accumulated) / 1e18);
        if (due > 0) require(rewardToken.transfer(to, due), "BoringERC20: Transfer failed");
        emit LogOnReward(who, pid, due, to);
    }

    function _updated(uint256 pid) private view returns (uint256) {
        uint256 supply = chef.lpToken(pid).balanceOf(address(chef));
        if (supply == 0) return _accumulated;
        return _accumulated + ((block.timestamp - _last) * rewardPerSecond * 1e18) / supply;
    }
}
