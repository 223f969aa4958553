// SPDX-License-Identifier: MIT
// Fakes, for local chains only: BeefyVaultV7 and a strategy in the manner of StrategyCommonChefLP with the harvest of
// the present base class (BaseAllToNative): rewards of a MasterChef become the gas token, fees are taken, the rest
// becomes the LP token again. They keep what a keeper trips over: a harvest below `minAmount` does nothing and does
// not revert, `callReward` and `rewardsAvailable` are 0 until a pending view is named, profit is locked for a day,
// `harvest()` pays tx.origin, a paused strategy refuses.
pragma solidity ^0.8.20;

interface IBeefyToken {
    function balanceOf(address who) external view returns (uint256);
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
    function approve(address spender, uint256 value) external returns (bool);
}

interface IBeefyChef {
    function deposit(uint256 pid, uint256 amount) external;
    function withdraw(uint256 pid, uint256 amount) external;
    function userInfo(uint256 pid, address user) external view returns (uint256 amount, uint256 rewardDebt);
}

interface IBeefyRouter {
    function swapExactTokensForTokens(uint256 sold, uint256 least, address[] calldata path, address to, uint256 until)
        external
        returns (uint256[] memory);
    function addLiquidity(
        address a,
        address b,
        uint256 amountA,
        uint256 amountB,
        uint256 leastA,
        uint256 leastB,
        address to,
        uint256 until
    ) external returns (uint256, uint256, uint256);
    function getAmountsOut(uint256 sold, address[] calldata path) external view returns (uint256[] memory);
}

interface IBeefyStrategy {
    function balanceOf() external view returns (uint256);
    function beforeDeposit() external;
    function deposit() external;
    function withdraw(uint256 amount) external;
}

contract BeefyVaultV7 {
    string public name;
    string public symbol;
    uint8 public constant decimals = 18;
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;
    address public immutable owner;
    IBeefyToken public immutable want;
    IBeefyStrategy public strategy;

    event Transfer(address indexed from, address indexed to, uint256 value);

    constructor(IBeefyToken want_, string memory name_, string memory symbol_) {
        (want, name, symbol, owner) = (want_, name_, symbol_, msg.sender);
    }

    function setStrategy(IBeefyStrategy strategy_) external {
        require(msg.sender == owner, "Ownable: caller is not the owner");
        strategy = strategy_;
    }

    function balance() public view returns (uint256) {
        return want.balanceOf(address(this)) + strategy.balanceOf();
    }

    function getPricePerFullShare() external view returns (uint256) {
        return totalSupply == 0 ? 1e18 : balance() * 1e18 / totalSupply;
    }

    function deposit(uint256 amount) external {
        strategy.beforeDeposit();
        uint256 pool = balance();
        want.transferFrom(msg.sender, address(this), amount);
        want.transfer(address(strategy), want.balanceOf(address(this)));
        strategy.deposit();
        uint256 added = balance() - pool;
        uint256 shares = totalSupply == 0 ? added : added * totalSupply / pool;
        totalSupply += shares;
        balanceOf[msg.sender] += shares;
        emit Transfer(address(0), msg.sender, shares);
    }

    function withdraw(uint256 shares) external {
        uint256 amount = balance() * shares / totalSupply;
        balanceOf[msg.sender] -= shares;
        totalSupply -= shares;
        emit Transfer(msg.sender, address(0), shares);
        strategy.withdraw(amount);
        want.transfer(msg.sender, want.balanceOf(address(this)));
    }
}

contract BeefyChefStrategy {
    struct FeeCategory {
        uint256 total;
        uint256 beefy;
        uint256 call;
        uint256 strategist;
        string label;
        bool active;
    }

    struct AllFees {
        FeeCategory performance;
        uint256 deposit;
        uint256 withdraw;
    }

    uint256 public constant lockDuration = 1 days;
    address public immutable owner;
    address public immutable vault;
    IBeefyToken public immutable want;
    IBeefyToken public immutable output;
    IBeefyToken public immutable native;
    IBeefyChef public immutable chef;
    IBeefyRouter public immutable unirouter;
    uint256 public immutable poolId;
    address public immutable feeRecipient;

    bool public paused;
    bool public harvestOnDeposit;
    uint256 public lastHarvest;
    uint256 public totalLocked;
    uint256 public minAmount = 1e15;
    uint256 public totalFee = 95e15;
    uint256 public callFee = 1e16;
    string public pendingRewardsFunctionName;

    event StratHarvest(address indexed harvester, uint256 wantHarvested, uint256 tvl);
    event ChargedFees(uint256 callFees, uint256 beefyFees, uint256 strategistFees);

    modifier onlyOwner() {
        require(msg.sender == owner, "!manager");
        _;
    }

    modifier whenNotPaused() {
        require(!paused, "Pausable: paused");
        _;
    }

    constructor(
        address vault_,
        IBeefyToken want_,
        IBeefyToken output_,
        IBeefyToken native_,
        IBeefyChef chef_,
        uint256 poolId_,
        IBeefyRouter router_,
        address feeRecipient_
    ) {
        (owner, vault, want, output, native) = (msg.sender, vault_, want_, output_, native_);
        (chef, poolId, unirouter, feeRecipient) = (chef_, poolId_, router_, feeRecipient_);
        want_.approve(address(chef_), type(uint256).max);
        want_.approve(address(router_), type(uint256).max);
        output_.approve(address(router_), type(uint256).max);
        native_.approve(address(router_), type(uint256).max);
    }

    function setPendingRewardsFunctionName(string calldata name) external onlyOwner {
        pendingRewardsFunctionName = name;
    }

    function setMinAmount(uint256 least) external onlyOwner {
        minAmount = least;
    }

    function setFees(uint256 total, uint256 call) external onlyOwner {
        (totalFee, callFee) = (total, call);
    }

    function setPaused(bool to) external onlyOwner {
        paused = to;
    }

    // ------------------------------------------------------------------ views

    function balanceOfWant() public view returns (uint256) {
        return want.balanceOf(address(this));
    }

    function balanceOfPool() public view returns (uint256 amount) {
        (amount,) = chef.userInfo(poolId, address(this));
    }

    function lockedProfit() public view returns (uint256) {
        uint256 elapsed = block.timestamp - lastHarvest;
        return elapsed < lockDuration ? totalLocked * (lockDuration - elapsed) / lockDuration : 0;
    }

    function balanceOf() public view returns (uint256) {
        return balanceOfWant() + balanceOfPool() - lockedProfit();
    }

    function rewardsAvailable() public view returns (uint256 amount) {
        if (bytes(pendingRewardsFunctionName).length == 0) return 0;
        string memory signature = string.concat(pendingRewardsFunctionName, "(uint256,address)");
        (bool done, bytes memory answer) =
            address(chef).staticcall(abi.encodeWithSignature(signature, poolId, address(this)));
        require(done, "no such view");
        amount = abi.decode(answer, (uint256));
    }

    function callReward() external view returns (uint256) {
        uint256 amount = rewardsAvailable();
        if (amount == 0) return 0;
        uint256[] memory out = unirouter.getAmountsOut(amount, _path(output, native));
        return out[1] * totalFee / 1e18 * callFee / 1e18;
    }

    function getAllFees() external view returns (AllFees memory) {
        uint256 strategist = 5e15;
        return AllFees(
            FeeCategory(totalFee, 1e18 - callFee - strategist, callFee, strategist, "default", true), 0, 0
        );
    }

    // ------------------------------------------------------------------ what the vault does

    function beforeDeposit() external {
        require(msg.sender == vault, "!vault");
        if (harvestOnDeposit) _harvest(tx.origin, true);
    }

    function deposit() public whenNotPaused {
        uint256 amount = balanceOfWant();
        if (amount > 0) chef.deposit(poolId, amount);
    }

    function withdraw(uint256 amount) external {
        require(msg.sender == vault, "!vault");
        if (balanceOfWant() < amount) chef.withdraw(poolId, amount - balanceOfWant());
        want.transfer(vault, amount);
    }

    // ------------------------------------------------------------------ the harvest

    function harvest() external {
        _harvest(tx.origin, false);
    }

    function harvest(address callFeeRecipient) external {
        _harvest(callFeeRecipient, false);
    }

    function _harvest(address callFeeRecipient, bool onDeposit) private whenNotPaused {
        chef.deposit(poolId, 0);
        uint256 rewards = output.balanceOf(address(this));
        if (rewards > 0) _swap(output, native, rewards);
        if (native.balanceOf(address(this)) <= minAmount) return;
        _chargeFees(callFeeRecipient);
        uint256 before = balanceOfWant();
        _makeWant();
        uint256 harvested = balanceOfWant() - before;
        totalLocked = harvested + lockedProfit();
        lastHarvest = block.timestamp;
        if (!onDeposit) deposit();
        emit StratHarvest(msg.sender, harvested, balanceOf());
    }

    function _chargeFees(address callFeeRecipient) private {
        uint256 fees = native.balanceOf(address(this)) * totalFee / 1e18;
        uint256 call = fees * callFee / 1e18;
        native.transfer(callFeeRecipient, call);
        native.transfer(feeRecipient, fees - call);
        emit ChargedFees(call, fees - call, 0);
    }

    function _makeWant() private {
        _swap(native, output, native.balanceOf(address(this)) / 2);
        unirouter.addLiquidity(
            address(output),
            address(native),
            output.balanceOf(address(this)),
            native.balanceOf(address(this)),
            1,
            1,
            address(this),
            block.timestamp
        );
    }

    function _swap(IBeefyToken from, IBeefyToken to, uint256 amount) private {
        unirouter.swapExactTokensForTokens(amount, 0, _path(from, to), address(this), block.timestamp);
    }

    function _path(IBeefyToken from, IBeefyToken to) private pure returns (address[] memory path) {
        path = new address[](2);
        (path[0], path[1]) = (address(from), address(to));
    }
}
