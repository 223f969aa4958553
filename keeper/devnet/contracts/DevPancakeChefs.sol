// SPDX-License-Identifier: MIT
// Fakes, for local chains only: PancakeSwap's MasterChef (pool 0 by enterStaking, paid out of SYRUP's balance) and its
// MasterChefV2 (fed by a pool of the first one, boosted shares, pools listed by lpToken).
pragma solidity ^0.8.20;

interface ICake {
    function balanceOf(address) external view returns (uint256);
    function mint(address, uint256) external;
    function burn(address, uint256) external;
    function transfer(address, uint256) external returns (bool);
    function transferFrom(address, address, uint256) external returns (bool);
    function safeCakeTransfer(address, address, uint256) external;
}

contract DevPancakeChef {
    struct UserInfo {
        uint256 amount;
        uint256 rewardDebt;
    }

    struct PoolInfo {
        address lpToken;
        uint256 allocPoint;
        uint256 lastRewardBlock;
        uint256 accCakePerShare;
    }

    ICake public immutable cake;
    ICake public immutable syrup;
    address public immutable devaddr;
    uint256 public cakePerBlock;
    uint256 public BONUS_MULTIPLIER = 1;
    PoolInfo[] public poolInfo;
    mapping(uint256 => mapping(address => UserInfo)) public userInfo;
    uint256 public totalAllocPoint;

    event Deposit(address indexed user, uint256 indexed pid, uint256 amount);
    event Withdraw(address indexed user, uint256 indexed pid, uint256 amount);

    constructor(ICake cake_, ICake syrup_, uint256 perBlock) {
        (cake, syrup, devaddr, cakePerBlock) = (cake_, syrup_, msg.sender, perBlock);
        add(1000, address(cake_));
    }

    function poolLength() external view returns (uint256) {
        return poolInfo.length;
    }

    function add(uint256 allocPoint, address lpToken) public {
        require(msg.sender == devaddr, "Ownable: caller is not the owner");
        totalAllocPoint += allocPoint;
        poolInfo.push(PoolInfo(lpToken, allocPoint, block.number, 0));
    }

    function updateMultiplier(uint256 multiplier) external {
        require(msg.sender == devaddr, "Ownable: caller is not the owner");
        BONUS_MULTIPLIER = multiplier;
    }

    function getMultiplier(uint256 from, uint256 to) public view returns (uint256) {
        return (to - from) * BONUS_MULTIPLIER;
    }

    function pendingCake(uint256 pid, address who) external view returns (uint256) {
        PoolInfo memory pool = poolInfo[pid];
        UserInfo memory user = userInfo[pid][who];
        uint256 supply = ICake(pool.lpToken).balanceOf(address(this));
        if (block.number > pool.lastRewardBlock && supply != 0) {
            uint256 earned = getMultiplier(pool.lastRewardBlock, block.number) * cakePerBlock * pool.allocPoint;
            pool.accCakePerShare += ((earned / totalAllocPoint) * 1e12) / supply;
        }
        return (user.amount * pool.accCakePerShare) / 1e12 - user.rewardDebt;
    }

    function updatePool(uint256 pid) public {
        PoolInfo storage pool = poolInfo[pid];
        if (block.number <= pool.lastRewardBlock) return;
        uint256 supply = ICake(pool.lpToken).balanceOf(address(this));
        if (supply > 0) {
            uint256 earned = getMultiplier(pool.lastRewardBlock, block.number) * cakePerBlock * pool.allocPoint;
            earned /= totalAllocPoint;
            cake.mint(devaddr, earned / 10);
            cake.mint(address(syrup), earned);
            pool.accCakePerShare += (earned * 1e12) / supply;
        }
        pool.lastRewardBlock = block.number;
    }

    function deposit(uint256 pid, uint256 amount) external {
        require(pid != 0, "deposit CAKE by staking");
        _enter(pid, amount);
    }

    function withdraw(uint256 pid, uint256 amount) external {
        require(pid != 0, "withdraw CAKE by unstaking");
        _leave(pid, amount);
    }

    function enterStaking(uint256 amount) external {
        _enter(0, amount);
        syrup.mint(msg.sender, amount);
    }

    function leaveStaking(uint256 amount) external {
        _leave(0, amount);
        syrup.burn(msg.sender, amount);
    }

    function _enter(uint256 pid, uint256 amount) private {
        UserInfo storage user = userInfo[pid][msg.sender];
        updatePool(pid);
        _pay(user, pid);
        if (amount > 0) {
            ICake(poolInfo[pid].lpToken).transferFrom(msg.sender, address(this), amount);
            user.amount += amount;
        }
        user.rewardDebt = (user.amount * poolInfo[pid].accCakePerShare) / 1e12;
        emit Deposit(msg.sender, pid, amount);
    }

    function _leave(uint256 pid, uint256 amount) private {
        UserInfo storage user = userInfo[pid][msg.sender];
        require(user.amount >= amount, "withdraw: not good");
        updatePool(pid);
        _pay(user, pid);
        if (amount > 0) {
            user.amount -= amount;
            ICake(poolInfo[pid].lpToken).transfer(msg.sender, amount);
        }
        user.rewardDebt = (user.amount * poolInfo[pid].accCakePerShare) / 1e12;
        emit Withdraw(msg.sender, pid, amount);
    }

    function _pay(UserInfo memory user, uint256 pid) private {
        uint256 pending = (user.amount * poolInfo[pid].accCakePerShare) / 1e12 - user.rewardDebt;
        if (pending > 0) syrup.safeCakeTransfer(address(cake), msg.sender, pending);
    }
}

contract DevPancakeChefV2 {
    struct UserInfo {
        uint256 amount;
        uint256 rewardDebt;
        uint256 boostMultiplier;
    }

    struct PoolInfo {
        uint256 accCakePerShare;
        uint256 lastRewardBlock;
        uint256 allocPoint;
        uint256 totalBoostedShare;
        bool isRegular;
    }

    DevPancakeChef public immutable MASTER_CHEF;
    ICake public immutable CAKE;
    uint256 public immutable MASTER_PID;
    address public immutable owner;
    uint256 public constant BOOST_PRECISION = 100 * 1e10;
    // The rest is burnt.
    uint256 public constant cakeRateToRegularFarm = 4e11;
    uint256 public constant cakeRateToSpecialFarm = 1e11;
    PoolInfo[] public poolInfo;
    address[] public lpToken;
    mapping(uint256 => mapping(address => UserInfo)) public userInfo;
    mapping(address => bool) public whiteList;
    uint256 public totalRegularAllocPoint;
    uint256 public totalSpecialAllocPoint;

    event Deposit(address indexed user, uint256 indexed pid, uint256 amount);
    event Withdraw(address indexed user, uint256 indexed pid, uint256 amount);

    constructor(DevPancakeChef chef, ICake cake, uint256 masterPid) {
        (MASTER_CHEF, CAKE, MASTER_PID, owner) = (chef, cake, masterPid, msg.sender);
    }

    modifier onlyOwner() {
        require(msg.sender == owner, "Ownable: caller is not the owner");
        _;
    }

    // Stakes the dummy token that the caller has in the first chef.
    function init(address dummy, uint256 amount) external onlyOwner {
        ICake(dummy).transferFrom(msg.sender, address(this), amount);
        (bool done, ) = dummy.call(abi.encodeWithSignature("approve(address,uint256)", MASTER_CHEF, amount));
        require(done);
        MASTER_CHEF.deposit(MASTER_PID, amount);
    }

    function poolLength() external view returns (uint256) {
        return poolInfo.length;
    }

    function add(uint256 allocPoint, address lp, bool isRegular) external onlyOwner {
        if (isRegular) totalRegularAllocPoint += allocPoint;
        else totalSpecialAllocPoint += allocPoint;
        lpToken.push(lp);
        poolInfo.push(PoolInfo(0, block.number, allocPoint, 0, isRegular));
    }

    function updateWhiteList(address who, bool allowed) external onlyOwner {
        whiteList[who] = allowed;
    }

    function cakePerBlock(bool isRegular) public view returns (uint256) {
        uint256 rate = isRegular ? cakeRateToRegularFarm : cakeRateToSpecialFarm;
        (, uint256 alloc, , ) = MASTER_CHEF.poolInfo(MASTER_PID);
        return (((MASTER_CHEF.cakePerBlock() * alloc) / MASTER_CHEF.totalAllocPoint()) * rate) / 1e12;
    }

    function pendingCake(uint256 pid, address who) external view returns (uint256) {
        UserInfo memory user = userInfo[pid][who];
        return (_boosted(user.amount, who, pid) * _accumulated(pid)) / 1e18 - user.rewardDebt;
    }

    function getBoostMultiplier(address who, uint256 pid) public view returns (uint256) {
        uint256 multiplier = userInfo[pid][who].boostMultiplier;
        return multiplier > BOOST_PRECISION ? multiplier : BOOST_PRECISION;
    }

    // By the booster contract, for holders of veCAKE.
    function updateBoostMultiplier(address who, uint256 pid, uint256 multiplier) external onlyOwner {
        UserInfo storage user = userInfo[pid][who];
        _update(pid);
        uint256 before = _boosted(user.amount, who, pid);
        _settle(who, pid);
        user.boostMultiplier = multiplier;
        uint256 current = _boosted(user.amount, who, pid);
        user.rewardDebt = (current * poolInfo[pid].accCakePerShare) / 1e18;
        poolInfo[pid].totalBoostedShare = poolInfo[pid].totalBoostedShare - before + current;
    }

    function deposit(uint256 pid, uint256 amount) external {
        _update(pid);
        require(
            poolInfo[pid].isRegular || whiteList[msg.sender],
            "MasterChefV2: The address is not available to deposit in this pool"
        );
        UserInfo storage user = userInfo[pid][msg.sender];
        if (user.amount > 0) _settle(msg.sender, pid);
        if (amount > 0) {
            uint256 before = ICake(lpToken[pid]).balanceOf(address(this));
            ICake(lpToken[pid]).transferFrom(msg.sender, address(this), amount);
            amount = ICake(lpToken[pid]).balanceOf(address(this)) - before;
            user.amount += amount;
            poolInfo[pid].totalBoostedShare += _boosted(amount, msg.sender, pid);
        }
        user.rewardDebt = (_boosted(user.amount, msg.sender, pid) * poolInfo[pid].accCakePerShare) / 1e18;
        emit Deposit(msg.sender, pid, amount);
    }

    function withdraw(uint256 pid, uint256 amount) external {
        _update(pid);
        UserInfo storage user = userInfo[pid][msg.sender];
        require(user.amount >= amount, "withdraw: Insufficient");
        _settle(msg.sender, pid);
        if (amount > 0) {
            user.amount -= amount;
            poolInfo[pid].totalBoostedShare -= _boosted(amount, msg.sender, pid);
            ICake(lpToken[pid]).transfer(msg.sender, amount);
        }
        user.rewardDebt = (_boosted(user.amount, msg.sender, pid) * poolInfo[pid].accCakePerShare) / 1e18;
        emit Withdraw(msg.sender, pid, amount);
    }

    function harvestFromMasterChef() public {
        MASTER_CHEF.deposit(MASTER_PID, 0);
    }

    function _boosted(uint256 amount, address who, uint256 pid) private view returns (uint256) {
        return (amount * getBoostMultiplier(who, pid)) / BOOST_PRECISION;
    }

    function _accumulated(uint256 pid) private view returns (uint256) {
        PoolInfo memory pool = poolInfo[pid];
        uint256 total = pool.isRegular ? totalRegularAllocPoint : totalSpecialAllocPoint;
        if (block.number <= pool.lastRewardBlock || pool.totalBoostedShare == 0 || total == 0) return pool.accCakePerShare;
        uint256 earned = ((block.number - pool.lastRewardBlock) * cakePerBlock(pool.isRegular) * pool.allocPoint) / total;
        return pool.accCakePerShare + (earned * 1e18) / pool.totalBoostedShare;
    }

    function _update(uint256 pid) private {
        poolInfo[pid].accCakePerShare = _accumulated(pid);
        poolInfo[pid].lastRewardBlock = block.number;
    }

    function _settle(address who, uint256 pid) private {
        UserInfo memory user = userInfo[pid][who];
        uint256 pending = (_boosted(user.amount, who, pid) * poolInfo[pid].accCakePerShare) / 1e18 - user.rewardDebt;
        if (pending == 0) return;
        if (CAKE.balanceOf(address(this)) < pending) harvestFromMasterChef();
        uint256 held = CAKE.balanceOf(address(this));
        CAKE.transfer(who, pending > held ? held : pending);
    }
}
