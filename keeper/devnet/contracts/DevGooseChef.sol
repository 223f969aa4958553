// SPDX-License-Identifier: MIT
// A fake, for local chains only: a chef of the Goose and Panther kind, which keeps a fee of every deposit and pays only
// once a harvest interval has passed; what is harvested earlier is locked up until then.
pragma solidity ^0.8.20;

interface IEgg {
    function balanceOf(address) external view returns (uint256);
    function mint(address, uint256) external;
    function transfer(address, uint256) external returns (bool);
    function transferFrom(address, address, uint256) external returns (bool);
}

contract DevGooseChef {
    struct UserInfo {
        uint256 amount;
        uint256 rewardDebt;
        uint256 rewardLockedUp;
        uint256 nextHarvestUntil;
    }

    struct PoolInfo {
        IEgg lpToken;
        uint256 allocPoint;
        uint256 lastRewardBlock;
        uint256 accEggPerShare;
        uint16 depositFeeBP;
        uint256 harvestInterval;
    }

    IEgg public immutable egg;
    address public immutable feeAddress;
    uint256 public eggPerBlock;
    uint256 public totalAllocPoint;
    uint256 public totalLockedUpRewards;
    PoolInfo[] public poolInfo;
    mapping(uint256 => mapping(address => UserInfo)) public userInfo;

    event Deposit(address indexed user, uint256 indexed pid, uint256 amount);
    event Withdraw(address indexed user, uint256 indexed pid, uint256 amount);
    event RewardLockedUp(address indexed user, uint256 indexed pid, uint256 amountLockedUp);

    constructor(IEgg egg_, uint256 perBlock) {
        (egg, feeAddress, eggPerBlock) = (egg_, msg.sender, perBlock);
    }

    function poolLength() external view returns (uint256) {
        return poolInfo.length;
    }

    function add(uint256 allocPoint, IEgg lpToken, uint16 depositFeeBP, uint256 harvestInterval) external {
        require(msg.sender == feeAddress, "Ownable: caller is not the owner");
        totalAllocPoint += allocPoint;
        poolInfo.push(PoolInfo(lpToken, allocPoint, block.number, 0, depositFeeBP, harvestInterval));
    }

    function getMultiplier(uint256 from, uint256 to) public pure returns (uint256) {
        return to - from;
    }

    function pendingEgg(uint256 pid, address who) external view returns (uint256) {
        PoolInfo memory pool = poolInfo[pid];
        UserInfo memory user = userInfo[pid][who];
        uint256 supply = pool.lpToken.balanceOf(address(this));
        if (block.number > pool.lastRewardBlock && supply != 0) {
            uint256 earned = ((block.number - pool.lastRewardBlock) * eggPerBlock * pool.allocPoint) / totalAllocPoint;
            pool.accEggPerShare += (earned * 1e12) / supply;
        }
        return (user.amount * pool.accEggPerShare) / 1e12 - user.rewardDebt + user.rewardLockedUp;
    }

    function canHarvest(uint256 pid, address who) public view returns (bool) {
        return block.timestamp >= userInfo[pid][who].nextHarvestUntil;
    }

    function updatePool(uint256 pid) public {
        PoolInfo storage pool = poolInfo[pid];
        if (block.number <= pool.lastRewardBlock) return;
        uint256 supply = pool.lpToken.balanceOf(address(this));
        if (supply > 0 && pool.allocPoint > 0) {
            uint256 earned = ((block.number - pool.lastRewardBlock) * eggPerBlock * pool.allocPoint) / totalAllocPoint;
            egg.mint(feeAddress, earned / 10);
            egg.mint(address(this), earned);
            pool.accEggPerShare += (earned * 1e12) / supply;
        }
        pool.lastRewardBlock = block.number;
    }

    function deposit(uint256 pid, uint256 amount) external {
        PoolInfo storage pool = poolInfo[pid];
        UserInfo storage user = userInfo[pid][msg.sender];
        updatePool(pid);
        _payOrLockUp(user, pid);
        if (amount > 0) {
            pool.lpToken.transferFrom(msg.sender, address(this), amount);
            uint256 fee = (amount * pool.depositFeeBP) / 10000;
            if (fee > 0) pool.lpToken.transfer(feeAddress, fee);
            user.amount += amount - fee;
        }
        user.rewardDebt = (user.amount * pool.accEggPerShare) / 1e12;
        emit Deposit(msg.sender, pid, amount);
    }

    function withdraw(uint256 pid, uint256 amount) external {
        UserInfo storage user = userInfo[pid][msg.sender];
        require(user.amount >= amount, "withdraw: not good");
        updatePool(pid);
        _payOrLockUp(user, pid);
        if (amount > 0) {
            user.amount -= amount;
            poolInfo[pid].lpToken.transfer(msg.sender, amount);
        }
        user.rewardDebt = (user.amount * poolInfo[pid].accEggPerShare) / 1e12;
        emit Withdraw(msg.sender, pid, amount);
    }

    function _payOrLockUp(UserInfo storage user, uint256 pid) private {
        PoolInfo memory pool = poolInfo[pid];
        if (user.nextHarvestUntil == 0) user.nextHarvestUntil = block.timestamp + pool.harvestInterval;
        uint256 pending = (user.amount * pool.accEggPerShare) / 1e12 - user.rewardDebt;
        if (canHarvest(pid, msg.sender)) {
            if (pending > 0 || user.rewardLockedUp > 0) {
                uint256 total = pending + user.rewardLockedUp;
                totalLockedUpRewards -= user.rewardLockedUp;
                user.rewardLockedUp = 0;
                user.nextHarvestUntil = block.timestamp + pool.harvestInterval;
                uint256 held = egg.balanceOf(address(this));
                egg.transfer(msg.sender, total > held ? held : total);
            }
        } else if (pending > 0) {
            user.rewardLockedUp += pending;
            totalLockedUpRewards += pending;
            emit RewardLockedUp(msg.sender, pid, pending);
        }
    }
}
