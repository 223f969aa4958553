// SPDX-License-Identifier: MIT
// Fakes, for local chains only: they stand in for Maker's Pot, for sDAI, for a plain ERC-4626 vault (of Yearn's kind: with
// a deposit limit and profit that unlocks slowly), and for tokens that such vaults meet: one that taxes transfers, one
// like USDT, one that answers false.
// Kept from the originals: a chi that is stale until somebody drips, joins that want a fresh one, previews that know
// nothing of a tax, and shares that a donation lifts. The Pot here holds DAI itself, where Maker's only keeps books.
pragma solidity ^0.8.20;

interface IDevDai {
    function symbol() external view returns (string memory);
    function decimals() external view returns (uint8);
    function balanceOf(address who) external view returns (uint256);
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
}

contract DevPot {
    uint256 private constant _RAY = 1e27;

    address public immutable dai;
    address public immutable ward;
    mapping(address => uint256) public pie;
    uint256 public Pie;
    uint256 public dsr;
    uint256 public chi = _RAY;
    uint256 public rho;
    uint256 public live = 1;

    constructor(address dai_, uint256 dsr_) {
        dai = dai_;
        dsr = dsr_;
        ward = msg.sender;
        rho = block.timestamp;
    }

    function file(bytes32 what, uint256 data) external {
        require(msg.sender == ward, "Pot/not-authorized");
        require(rho == block.timestamp, "Pot/rho-not-updated");
        require(what == "dsr", "Pot/file-unrecognized-param");
        dsr = data;
    }

    function cage() external {
        require(msg.sender == ward, "Pot/not-authorized");
        live = 0;
        dsr = _RAY;
    }

    function drip() external returns (uint256) {
        chi = current();
        rho = block.timestamp;
        return chi;
    }

    // What drip would answer. Maker's Pot has no such view; sDAI reckons it for itself.
    function current() public view returns (uint256) {
        return _power(dsr, block.timestamp - rho) * chi / _RAY;
    }

    function join(uint256 wad) external {
        require(rho == block.timestamp, "Pot/rho-not-updated");
        pie[msg.sender] += wad;
        Pie += wad;
        require(IDevDai(dai).transferFrom(msg.sender, address(this), chi * wad / _RAY));
    }

    function exit(uint256 wad) external {
        pie[msg.sender] -= wad;
        Pie -= wad;
        require(IDevDai(dai).transfer(msg.sender, chi * wad / _RAY));
    }

    function _power(uint256 x, uint256 n) private pure returns (uint256 z) {
        z = n % 2 == 0 ? _RAY : x;
        for (n /= 2; n != 0; n /= 2) {
            x = (x * x + _RAY / 2) / _RAY;
            if (n % 2 != 0) z = (z * x + _RAY / 2) / _RAY;
        }
    }
}

abstract contract DevShares {
    string public symbol;
    uint8 public decimals;
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);
    event Deposit(address indexed sender, address indexed owner, uint256 assets, uint256 shares);
    event Withdraw(
        address indexed sender, address indexed receiver, address indexed owner, uint256 assets, uint256 shares
    );

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    function transfer(address to, uint256 value) external virtual returns (bool) {
        _move(msg.sender, to, value);
        return true;
    }

    function transferFrom(address from, address to, uint256 value) external virtual returns (bool) {
        allowance[from][msg.sender] -= value;
        _move(from, to, value);
        return true;
    }

    function _move(address from, address to, uint256 value) internal {
        if (from == address(0)) totalSupply += value;
        else balanceOf[from] -= value;
        if (to == address(0)) totalSupply -= value;
        else balanceOf[to] += value;
        emit Transfer(from, to, value);
    }

    // As OpenZeppelin's SafeERC20: tokens that answer nothing are as good as those that answer true.
    function _safe(address token, bytes memory data) internal {
        (bool done, bytes memory answer) = token.call(data);
        require(done && (answer.length == 0 || abi.decode(answer, (bool))), "SafeERC20: operation did not succeed");
    }
}

contract DevSavingsDai is DevShares {
    uint256 private constant _RAY = 1e27;

    address public immutable asset;
    DevPot public immutable pot;

    constructor(DevPot pot_) {
        pot = pot_;
        asset = pot_.dai();
        symbol = "sDAI";
        decimals = 18;
        IDevApprove(asset).approve(address(pot_), type(uint256).max);
    }

    function totalAssets() external view returns (uint256) {
        return convertToAssets(totalSupply);
    }

    function convertToAssets(uint256 shares) public view returns (uint256) {
        return shares * pot.current() / _RAY;
    }

    function convertToShares(uint256 assets) public view returns (uint256) {
        return assets * _RAY / pot.current();
    }

    function previewDeposit(uint256 assets) external view returns (uint256) {
        return convertToShares(assets);
    }

    function maxDeposit(address) external pure returns (uint256) {
        return type(uint256).max;
    }

    function deposit(uint256 assets, address receiver) external returns (uint256 shares) {
        shares = assets * _RAY / pot.drip();
        require(IDevDai(asset).transferFrom(msg.sender, address(this), assets));
        pot.join(shares);
        _move(address(0), receiver, shares);
        emit Deposit(msg.sender, receiver, assets, shares);
    }

    function redeem(uint256 shares, address receiver, address owner) external returns (uint256 assets) {
        require(owner == msg.sender, "sDAI: not the owner");
        assets = shares * pot.drip() / _RAY;
        _move(owner, address(0), shares);
        pot.exit(shares);
        require(IDevDai(asset).transfer(receiver, assets));
        emit Withdraw(msg.sender, receiver, owner, assets, shares);
    }
}

interface IDevApprove {
    function approve(address spender, uint256 value) external returns (bool);
}

contract DevVault is DevShares {
    address public immutable asset;
    address public immutable manager;
    uint256 public depositLimit = type(uint256).max;
    // Part of each deposit that the vault keeps, basis points; its preview says so, as the standard wants.
    uint256 public entryFeeBps;
    // Profit that was reported and is not in the share price yet: it gets there evenly until then.
    uint256 private _profit;
    uint256 private _reportedAt;
    uint256 private _unlockedAt;

    constructor(string memory symbol_, address asset_) {
        symbol = symbol_;
        asset = asset_;
        decimals = IDevDai(asset_).decimals();
        manager = msg.sender;
    }

    function setLimit(uint256 limit) external {
        require(msg.sender == manager, "not the manager");
        depositLimit = limit;
    }

    function setEntryFee(uint256 bps) external {
        require(msg.sender == manager, "not the manager");
        entryFeeBps = bps;
    }

    function report(uint256 profit, uint256 seconds_) external {
        require(msg.sender == manager, "not the manager");
        _safe(asset, abi.encodeCall(IDevDai.transferFrom, (msg.sender, address(this), profit)));
        (_profit, _reportedAt, _unlockedAt) = (profit, block.timestamp, block.timestamp + seconds_);
    }

    // What lies here, but for locked profit: a donation lifts the price of every share.
    function totalAssets() public view returns (uint256) {
        uint256 held = IDevDai(asset).balanceOf(address(this));
        if (block.timestamp >= _unlockedAt) return held;
        return held - _profit * (_unlockedAt - block.timestamp) / (_unlockedAt - _reportedAt);
    }

    function convertToAssets(uint256 shares) public view returns (uint256) {
        return shares * (totalAssets() + 1) / (totalSupply + 1);
    }

    function convertToShares(uint256 assets) public view returns (uint256) {
        return assets * (totalSupply + 1) / (totalAssets() + 1);
    }

    function previewDeposit(uint256 assets) public view returns (uint256) {
        return convertToShares(assets - assets * entryFeeBps / 10_000);
    }

    function maxDeposit(address) public view returns (uint256) {
        uint256 held = totalAssets();
        return held >= depositLimit ? 0 : depositLimit - held;
    }

    function deposit(uint256 assets, address receiver) external returns (uint256 shares) {
        require(assets <= maxDeposit(receiver), "ERC4626ExceededMaxDeposit");
        // Reckoned by what is asked for, not by what arrives.
        shares = previewDeposit(assets);
        _safe(asset, abi.encodeCall(IDevDai.transferFrom, (msg.sender, address(this), assets)));
        _move(address(0), receiver, shares);
        emit Deposit(msg.sender, receiver, assets, shares);
    }

    function redeem(uint256 shares, address receiver, address owner) external returns (uint256 assets) {
        require(owner == msg.sender, "not the owner");
        assets = convertToAssets(shares);
        _move(owner, address(0), shares);
        _safe(asset, abi.encodeCall(IDevDai.transfer, (receiver, assets)));
        emit Withdraw(msg.sender, receiver, owner, assets, shares);
    }
}

// Keeps two per cent of every transfer.
contract DevTaxedToken is DevShares {
    constructor(string memory symbol_) {
        symbol = symbol_;
        decimals = 18;
    }

    function mint(address to, uint256 value) external {
        _move(address(0), to, value);
    }

    function transfer(address to, uint256 value) external override returns (bool) {
        _tax(msg.sender, to, value);
        return true;
    }

    function transferFrom(address from, address to, uint256 value) external override returns (bool) {
        allowance[from][msg.sender] -= value;
        _tax(from, to, value);
        return true;
    }

    function _tax(address from, address to, uint256 value) private {
        uint256 tax = value * 2 / 100;
        _move(from, address(0), tax);
        _move(from, to, value - tax);
    }
}

// Like USDT: answers nothing, and refuses to change an approval that is not zero.
contract DevShyToken {
    string public symbol = "USDT";
    uint8 public constant decimals = 6;
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);

    function mint(address to, uint256 value) external {
        totalSupply += value;
        balanceOf[to] += value;
        emit Transfer(address(0), to, value);
    }

    function approve(address spender, uint256 value) external {
        require(value == 0 || allowance[msg.sender][spender] == 0);
        allowance[msg.sender][spender] = value;
    }

    function transfer(address to, uint256 value) external {
        _move(msg.sender, to, value);
    }

    function transferFrom(address from, address to, uint256 value) external {
        allowance[from][msg.sender] -= value;
        _move(from, to, value);
    }

    function _move(address from, address to, uint256 value) private {
        balanceOf[from] -= value;
        balanceOf[to] += value;
        emit Transfer(from, to, value);
    }
}

// Answers false where others revert.
contract DevFalseToken {
    string public symbol = "FALSE";
    uint8 public constant decimals = 18;
    bool public shut;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);

    function mint(address to, uint256 value) external {
        balanceOf[to] += value;
    }

    function shutDown(bool shut_) external {
        shut = shut_;
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        return true;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        return _move(msg.sender, to, value);
    }

    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        if (allowance[from][msg.sender] < value) return false;
        allowance[from][msg.sender] -= value;
        return _move(from, to, value);
    }

    function _move(address from, address to, uint256 value) private returns (bool) {
        if (shut || balanceOf[from] < value) return false;
        balanceOf[from] -= value;
        balanceOf[to] += value;
        emit Transfer(from, to, value);
        return true;
    }
}
