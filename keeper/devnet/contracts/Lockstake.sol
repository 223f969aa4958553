// SPDX-License-Identifier: MIT
// Fakes, for local chains only: they stand in for Sky's LockstakeEngine (urns by owner and index, without its loans), the
// urns, and a farm they can select. Kept from the originals: the farm knows the urn and not its owner, rewards go where
// the owner says, others need hope() to claim, anybody may lock for anybody, a farm that was deleted still pays but takes
// no more, and what is freed pays an exit fee.
pragma solidity ^0.8.20;

interface IDevSky {
    function balanceOf(address who) external view returns (uint256);
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
}

contract DevLockstakeFarm {
    address public immutable engine;
    address public immutable rewardsToken;
    address public immutable owner;
    bool public paused;
    uint256 public periodFinish;
    uint256 public rewardRate;
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;
    mapping(address => uint256) private _paid;
    mapping(address => uint256) private _owed;
    uint256 private _perToken;
    uint256 private _updated;

    constructor(address engine_, address rewardsToken_) {
        engine = engine_;
        rewardsToken = rewardsToken_;
        owner = msg.sender;
    }

    function stakingToken() external view returns (address) {
        return DevLockstakeEngine(engine).lssky();
    }

    function notifyRewardAmount(uint256 reward, uint256 seconds_) external {
        require(msg.sender == owner, "not the owner");
        _update(address(0));
        rewardRate = reward / seconds_;
        periodFinish = block.timestamp + seconds_;
    }

    function setPaused(bool paused_) external {
        require(msg.sender == owner, "not the owner");
        paused = paused_;
    }

    function earned(address who) public view returns (uint256) {
        return _owed[who] + balanceOf[who] * (_index() - _paid[who]) / 1e18;
    }

    function stake(uint256 amount, uint16) external {
        require(!paused, "Pausable: paused");
        _update(msg.sender);
        DevLockstakeUrn(msg.sender).give(amount);
        totalSupply += amount;
        balanceOf[msg.sender] += amount;
    }

    function getReward() external {
        _update(msg.sender);
        uint256 owed = _owed[msg.sender];
        if (owed > 0) {
            _owed[msg.sender] = 0;
            require(IDevSky(rewardsToken).transfer(msg.sender, owed));
        }
    }

    function _index() private view returns (uint256) {
        uint256 until = block.timestamp < periodFinish ? block.timestamp : periodFinish;
        if (totalSupply == 0 || until <= _updated) return _perToken;
        return _perToken + (until - _updated) * rewardRate * 1e18 / totalSupply;
    }

    function _update(address who) private {
        _perToken = _index();
        _updated = block.timestamp;
        if (who == address(0)) return;
        _owed[who] = earned(who);
        _paid[who] = _perToken;
    }
}

contract DevLockstakeUrn {
    address public immutable engine;
    uint256 public held;

    constructor() {
        engine = msg.sender;
    }

    // Stands in for lsSKY, which cannot be moved and is worth nothing outside.
    function give(uint256 amount) external {
        held -= amount;
    }

    function stake(address farm, uint256 amount, uint16 ref) external {
        require(msg.sender == engine, "LockstakeUrn/not-engine");
        held += amount;
        DevLockstakeFarm(farm).stake(amount, ref);
    }

    function getReward(address farm, address to) external returns (uint256 amount) {
        require(msg.sender == engine, "LockstakeUrn/not-engine");
        DevLockstakeFarm(farm).getReward();
        IDevSky token = IDevSky(DevLockstakeFarm(farm).rewardsToken());
        amount = token.balanceOf(address(this));
        require(token.transfer(to, amount));
    }
}

contract DevLockstakeEngine {
    enum FarmStatus {
        UNSUPPORTED,
        ACTIVE,
        DELETED
    }

    address public immutable sky;
    address public immutable ward;
    uint256 public fee;
    mapping(address => FarmStatus) public farms;
    mapping(address => uint256) public ownerUrnsCount;
    mapping(address => mapping(uint256 => address)) public ownerUrns;
    mapping(address => address) public urnOwners;
    mapping(address => mapping(address => uint256)) public urnCan;
    mapping(address => address) public urnFarms;
    mapping(address => uint256) public ink;

    event Lock(address indexed owner, uint256 indexed index, uint256 wad, uint16 ref);
    event GetReward(
        address indexed owner, uint256 indexed index, address indexed farm, address to, uint256 amt
    );

    constructor(address sky_, uint256 fee_) {
        sky = sky_;
        fee = fee_;
        ward = msg.sender;
    }

    modifier auth() {
        require(msg.sender == ward, "LockstakeEngine/not-authorized");
        _;
    }

    function lssky() external view returns (address) {
        return address(this);
    }

    function addFarm(address farm) external auth {
        farms[farm] = FarmStatus.ACTIVE;
    }

    function delFarm(address farm) external auth {
        farms[farm] = FarmStatus.DELETED;
    }

    function open(uint256 index) external returns (address urn) {
        require(index == ownerUrnsCount[msg.sender]++, "LockstakeEngine/wrong-urn-index");
        urn = address(new DevLockstakeUrn());
        ownerUrns[msg.sender][index] = urn;
        urnOwners[urn] = msg.sender;
    }

    function hope(address owner, uint256 index, address usr) external {
        urnCan[_auth(owner, index)][usr] = 1;
    }

    function selectFarm(address owner, uint256 index, address farm, uint16) external {
        address urn = _auth(owner, index);
        require(farms[farm] == FarmStatus.ACTIVE, "LockstakeEngine/farm-unsupported-or-deleted");
        require(ink[urn] == 0, "only before the first lock, here");
        urnFarms[urn] = farm;
    }

    function lock(address owner, uint256 index, uint256 wad, uint16 ref) external {
        address urn = _urn(owner, index);
        require(IDevSky(sky).transferFrom(msg.sender, address(this), wad));
        ink[urn] += wad;
        address farm = urnFarms[urn];
        if (farm != address(0)) {
            require(farms[farm] == FarmStatus.ACTIVE, "LockstakeEngine/farm-deleted");
            DevLockstakeUrn(urn).stake(farm, wad, ref);
        }
        emit Lock(owner, index, wad, ref);
    }

    function getReward(address owner, uint256 index, address farm, address to) external returns (uint256 amt) {
        address urn = _auth(owner, index);
        require(farms[farm] > FarmStatus.UNSUPPORTED, "LockstakeEngine/farm-unsupported");
        amt = DevLockstakeUrn(urn).getReward(farm, to);
        emit GetReward(owner, index, farm, to, amt);
    }

    function _urn(address owner, uint256 index) private view returns (address urn) {
        urn = ownerUrns[owner][index];
        require(urn != address(0), "LockstakeEngine/invalid-urn");
    }

    function _auth(address owner, uint256 index) private view returns (address urn) {
        urn = _urn(owner, index);
        require(msg.sender == owner || urnCan[urn][msg.sender] == 1, "LockstakeEngine/urn-not-authorized");
    }
}
