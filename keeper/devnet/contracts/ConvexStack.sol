// SPDX-License-Identifier: MIT
// Fakes, for local chains only. They stand in for Convex (Booster, VoterProxy, BaseRewardPool, VirtualBalanceRewardPool,
// CVX) and Aura, whose code is in no package registry. Kept of the originals: nothing is earned until somebody calls
// earmarkRewards, which pays its caller; a stream lasts a week; queued rewards wait while they are small against what
// is streaming; anybody may call getReward, and the account is paid; CVX and AURA are minted on every claim by their
// cliffs, and not at all for a stranger; wrapped tokens of Aura's other rewards. Left out: lockers and shares of fees.
pragma solidity ^0.8.20;

import "./CurveDao.sol";

// Mints for its operator; does nothing, without a word, for anybody else.
abstract contract DevCliffToken is DevCurveErc20 {
    address public operator;

    constructor(string memory symbol_, uint256 premine) DevCurveErc20(symbol_, symbol_) {
        operator = msg.sender;
        _mint(msg.sender, premine);
    }

    function set_operator(address to) external {
        require(msg.sender == operator, "operator only");
        operator = to;
    }

    function mint(address to, uint256 earned) external {
        if (msg.sender == operator) _mint(to, _minted(earned));
    }

    function _minted(uint256 earned) internal view virtual returns (uint256);
}

contract DevCvx is DevCliffToken {
    uint256 public constant maxSupply = 100_000_000e18;
    uint256 public constant totalCliffs = 1_000;
    uint256 public constant reductionPerCliff = 100_000e18;

    constructor(uint256 premine) DevCliffToken("CVX", premine) {}

    function _minted(uint256 earned) internal view override returns (uint256) {
        uint256 cliff = totalSupply / reductionPerCliff;
        if (cliff >= totalCliffs) return 0;
        uint256 amount = (earned * (totalCliffs - cliff)) / totalCliffs;
        return amount < maxSupply - totalSupply ? amount : maxSupply - totalSupply;
    }
}

contract DevAura is DevCliffToken {
    uint256 public constant EMISSIONS_MAX_SUPPLY = 50_000_000e18;
    uint256 public constant INIT_MINT_AMOUNT = 50_000_000e18;
    uint256 public constant totalCliffs = 500;
    uint256 public constant reductionPerCliff = 100_000e18;

    constructor(uint256 premine) DevCliffToken("AURA", premine) {}

    function _minted(uint256 earned) internal view override returns (uint256) {
        uint256 emitted = totalSupply - INIT_MINT_AMOUNT;
        uint256 cliff = emitted / reductionPerCliff;
        if (cliff >= totalCliffs) return 0;
        uint256 amount = (earned * (((totalCliffs - cliff) * 5) / 2 + 700)) / totalCliffs;
        return amount < EMISSIONS_MAX_SUPPLY - emitted ? amount : EMISSIONS_MAX_SUPPLY - emitted;
    }
}

contract DevVoterProxy {
    address public operator;
    DevMinter public minter;

    constructor(DevMinter minter_) {
        (operator, minter) = (msg.sender, minter_);
    }

    function deposit(address token, address gauge) external {
        require(msg.sender == operator, "!auth");
        uint256 held = DevCurveErc20(token).balanceOf(address(this));
        DevCurveErc20(token).approve(gauge, held);
        DevGaugeCore(gauge).deposit(held);
    }

    function claimCrv(address gauge) external {
        require(msg.sender == operator, "!auth");
        minter.mint(gauge);
        DevCurveToken crv = minter.token();
        crv.transfer(operator, crv.balanceOf(address(this)));
    }
}

// One week's stream of one token; shared by the pool itself and by what is paid beside.
abstract contract DevStream {
    uint256 public constant duration = 7 days;
    uint256 public periodFinish;
    uint256 public rewardRate;
    uint256 public lastUpdateTime;
    uint256 public rewardPerTokenStored;
    uint256 public queuedRewards;
    uint256 public currentRewards;
    mapping(address => uint256) public userRewardPerTokenPaid;
    mapping(address => uint256) public rewards;

    function totalSupply() public view virtual returns (uint256);

    function balanceOf(address account) public view virtual returns (uint256);

    function rewardPerToken() public view returns (uint256) {
        if (totalSupply() == 0) return rewardPerTokenStored;
        uint256 last = block.timestamp < periodFinish ? block.timestamp : periodFinish;
        return rewardPerTokenStored + ((last - lastUpdateTime) * rewardRate * 1e18) / totalSupply();
    }

    function earned(address account) public view returns (uint256) {
        uint256 fresh = rewardPerToken() - userRewardPerTokenPaid[account];
        return rewards[account] + (balanceOf(account) * fresh) / 1e18;
    }

    function _update(address account) internal {
        rewardPerTokenStored = rewardPerToken();
        lastUpdateTime = block.timestamp < periodFinish ? block.timestamp : periodFinish;
        if (account != address(0)) {
            rewards[account] = earned(account);
            userRewardPerTokenPaid[account] = rewardPerTokenStored;
        }
    }

    function _queue(uint256 reward) internal {
        reward += queuedRewards;
        queuedRewards = 0;
        if (block.timestamp >= periodFinish || (currentRewards * 1000) / reward < 830) _notify(reward);
        else queuedRewards = reward;
    }

    function _notify(uint256 reward) internal {
        _update(address(0));
        if (block.timestamp < periodFinish) reward += (periodFinish - block.timestamp) * rewardRate;
        (rewardRate, currentRewards) = (reward / duration, reward);
        (lastUpdateTime, periodFinish) = (block.timestamp, block.timestamp + duration);
    }
}

contract DevRewardPool is DevStream {
    DevCurveErc20 public rewardToken;
    DevCurveErc20 public stakingToken;
    address public operator;
    uint256 public pid;
    DevExtraPool[] public extraRewards;
    uint256 private _total;
    mapping(address => uint256) private _staked;

    event Staked(address indexed user, uint256 amount);
    event RewardPaid(address indexed user, uint256 reward);

    constructor(uint256 pid_, DevCurveErc20 staking, DevCurveErc20 reward) {
        (pid, stakingToken, rewardToken, operator) = (pid_, staking, reward, msg.sender);
    }

    function totalSupply() public view override returns (uint256) {
        return _total;
    }

    function balanceOf(address account) public view override returns (uint256) {
        return _staked[account];
    }

    function extraRewardsLength() external view returns (uint256) {
        return extraRewards.length;
    }

    function addExtraReward(DevExtraPool extra) external {
        extraRewards.push(extra);
    }

    function stakeFor(address account, uint256 amount) external {
        require(amount > 0, "RewardPool : Cannot stake 0");
        _update(account);
        for (uint256 i = 0; i < extraRewards.length; i++) extraRewards[i].stake(account);
        _total += amount;
        _staked[account] += amount;
        stakingToken.transferFrom(msg.sender, address(this), amount);
        emit Staked(account, amount);
    }

    // Anybody may call it; the account is paid.
    function getReward(address account, bool extras) public returns (bool) {
        _update(account);
        uint256 reward = rewards[account];
        if (reward > 0) {
            rewards[account] = 0;
            rewardToken.transfer(account, reward);
            DevBooster(operator).rewardClaimed(pid, account, reward);
            emit RewardPaid(account, reward);
        }
        for (uint256 i = 0; extras && i < extraRewards.length; i++) extraRewards[i].getReward(account);
        return true;
    }

    function donate(uint256 amount) external {
        rewardToken.transferFrom(msg.sender, address(this), amount);
        queuedRewards += amount;
    }

    function queueNewRewards(uint256 amount) external {
        require(msg.sender == operator, "!authorized");
        _queue(amount);
    }

    // Aura only, where it is public.
    function processIdleRewards() external {
        if (block.timestamp < periodFinish || queuedRewards == 0) return;
        uint256 idle = queuedRewards;
        queuedRewards = 0;
        _notify(idle);
    }
}

// What is paid beside CRV: counts by the stakes of the pool it belongs to.
contract DevExtraPool is DevStream {
    DevRewardPool public deposits;
    DevCurveErc20 public rewardToken;
    address public operator;

    constructor(DevRewardPool deposits_, DevCurveErc20 reward) {
        (deposits, rewardToken, operator) = (deposits_, reward, msg.sender);
    }

    function totalSupply() public view override returns (uint256) {
        return deposits.totalSupply();
    }

    function balanceOf(address account) public view override returns (uint256) {
        return deposits.balanceOf(account);
    }

    // Called before the stake itself changes.
    function stake(address account) external {
        require(msg.sender == address(deposits), "!authorized");
        _update(account);
    }

    function getReward(address account) external {
        _update(account);
        uint256 reward = rewards[account];
        rewards[account] = 0;
        if (reward > 0) rewardToken.transfer(account, reward);
    }

    function queueNewRewards(uint256 amount) external {
        require(msg.sender == operator, "!authorized");
        _queue(amount);
    }
}

// Aura's wrapper of another reward: an extra pool holds it, and who is paid gets what it stands for.
contract DevStashToken {
    DevCurveErc20 public baseToken;
    address public rewardPool;

    constructor(DevCurveErc20 base) {
        baseToken = base;
    }

    function init(address pool) external {
        require(rewardPool == address(0));
        rewardPool = pool;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        require(msg.sender == rewardPool, "!rewardPool");
        return baseToken.transfer(to, amount);
    }
}

contract DevBooster {
    struct Pool {
        address lptoken;
        address token;
        address gauge;
        address crvRewards;
        address stash;
        bool shutdown;
    }

    DevVoterProxy public staker;
    DevCurveToken public crv;
    // CVX or AURA.
    DevCliffToken public minter;
    uint256 public lockIncentive = 1000;
    uint256 public stakerIncentive = 450;
    uint256 public earmarkIncentive = 50;
    uint256 public platformFee = 200;
    bool public isShutdown;
    Pool[] public poolInfo;
    address private _treasury;
    bool private _multiplies;

    constructor(DevMinter gauges, DevCliffToken minter_, bool multiplies) {
        staker = new DevVoterProxy(gauges);
        (crv, minter, _treasury, _multiplies) = (gauges.token(), minter_, msg.sender, multiplies);
    }

    function poolLength() external view returns (uint256) {
        return poolInfo.length;
    }

    // Aura only: how much of a claim counts for AURA, of 10000.
    function getRewardMultipliers(address) external view returns (uint256) {
        require(_multiplies);
        return 9_000;
    }

    function addPool(address lptoken, address gauge) external {
        DevCurveToken token = new DevCurveToken("deposit", "deposit", 0);
        DevRewardPool pool = new DevRewardPool(poolInfo.length, token, crv);
        poolInfo.push(Pool(lptoken, address(token), gauge, address(pool), address(0), false));
    }

    function shutdownPool(uint256 pid) external {
        require(msg.sender == _treasury, "!auth");
        poolInfo[pid].shutdown = true;
    }

    function shutdownSystem() external {
        require(msg.sender == _treasury, "!auth");
        isShutdown = true;
    }

    function deposit(uint256 pid, uint256 amount, bool stake) external returns (bool) {
        require(!isShutdown, "shutdown");
        Pool storage pool = poolInfo[pid];
        require(!pool.shutdown, "pool is closed");
        DevCurveErc20(pool.lptoken).transferFrom(msg.sender, address(staker), amount);
        staker.deposit(pool.lptoken, pool.gauge);
        DevCurveToken(pool.token).mint(stake ? address(this) : msg.sender, amount);
        if (stake) {
            DevCurveToken(pool.token).approve(pool.crvRewards, amount);
            DevRewardPool(pool.crvRewards).stakeFor(msg.sender, amount);
        }
        return true;
    }

    // Takes in what the gauge owes, pays the caller, and starts the week's stream, or queues.
    function earmarkRewards(uint256 pid) external returns (bool) {
        Pool storage pool = poolInfo[pid];
        require(!isShutdown && !pool.shutdown, "pool is closed");
        staker.claimCrv(pool.gauge);
        uint256 held = crv.balanceOf(address(this));
        if (held > 0) {
            uint256 caller = (held * earmarkIncentive) / 10_000;
            uint256 others = (held * (lockIncentive + stakerIncentive)) / 10_000;
            uint256 platform = (held * platformFee) / 10_000;
            crv.transfer(msg.sender, caller);
            crv.transfer(_treasury, others + platform);
            uint256 rest = held - caller - others - platform;
            crv.transfer(pool.crvRewards, rest);
            DevRewardPool(pool.crvRewards).queueNewRewards(rest);
        }
        return true;
    }

    function rewardClaimed(uint256 pid, address account, uint256 amount) external {
        require(msg.sender == poolInfo[pid].crvRewards, "!auth");
        minter.mint(account, _multiplies ? (amount * 9_000) / 10_000 : amount);
    }
}

// Balancer's minter: Curve's, under other names.
contract DevBalancerMinter is DevMinter {
    constructor(DevCurveToken token_, DevGaugeController controller_) DevMinter(token_, controller_) {}

    function getBalancerToken() external view returns (address) {
        return address(token);
    }

    function getGaugeController() external view returns (address) {
        return address(controller);
    }

    function mintMany(address[] calldata gauges) external {
        for (uint256 i = 0; i < gauges.length; i++) _mint_for(gauges[i], msg.sender);
    }
}

// What mints on Balancer's other chains: it hands out what bridges brought.
contract DevPseudoMinter is DevChildFactory {
    constructor(DevCurveToken bal) DevChildFactory(bal, address(new DevVotingEscrow())) {}

    function getBalancerToken() external view returns (address) {
        return address(crv);
    }

    function deploy_balancer_gauge(address lp_token) external {
        address gauge = address(new DevBalancerChildGauge(lp_token, this, msg.sender));
        get_gauge.push(gauge);
        is_valid_gauge[gauge] = true;
    }
}

contract DevBalancerChildGauge is DevChildGauge {
    constructor(address lp_token_, DevChildFactory factory_, address admin) DevChildGauge(lp_token_, factory_, admin) {}

    function bal_pseudo_minter() external view returns (address) {
        return address(factory);
    }
}
