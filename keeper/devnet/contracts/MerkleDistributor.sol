// SPDX-License-Identifier: MIT
// A fake, for local chains only: Merkl's Distributor. Amounts are cumulative; a claim of nothing new pays nothing and
// does not revert; only the account itself (or an operator that it has named) may claim for it; a new root counts only
// after its dispute period; a Distributor that is short reverts. Trees can be laid out ahead, one a period.
pragma solidity ^0.8.20;

interface IMerkleToken {
    function transfer(address to, uint256 value) external returns (bool);
}

contract MerkleDistributor {
    struct Claim {
        uint208 amount;
        uint48 timestamp;
        bytes32 merkleRoot;
    }

    address public immutable owner;
    bytes32 public lastTree;
    bytes32 public tree;
    uint48 public endOfDisputePeriod;
    mapping(address => mapping(address => Claim)) public claimed;
    mapping(address => mapping(address => uint256)) public operators;

    bytes32[] public laidOut;
    uint256 public since;
    uint256 public period;

    event Claimed(address indexed user, address indexed token, uint256 amount);
    event TreeUpdated(bytes32 merkleRoot, uint48 endOfDisputePeriod);

    error InvalidLengths();
    error InvalidProof();
    error NotWhitelisted();

    constructor() {
        owner = msg.sender;
    }

    function layOut(bytes32[] calldata roots, uint256 period_) external {
        require(msg.sender == owner, "NotTrusted");
        (laidOut, since, period) = (roots, block.timestamp, period_);
    }

    function getMerkleRoot() public view returns (bytes32) {
        if (laidOut.length > 0) {
            uint256 index = (block.timestamp - since) / period;
            return laidOut[index < laidOut.length ? index : laidOut.length - 1];
        }
        return block.timestamp >= endOfDisputePeriod ? tree : lastTree;
    }

    function updateTree(bytes32 root, uint48 disputePeriod) external {
        require(msg.sender == owner, "NotTrusted");
        lastTree = getMerkleRoot();
        (tree, endOfDisputePeriod) = (root, uint48(block.timestamp) + disputePeriod);
        emit TreeUpdated(root, endOfDisputePeriod);
    }

    function toggleOperator(address user, address operator) external {
        require(msg.sender == user, "NotTrusted");
        operators[user][operator] = 1 - operators[user][operator];
    }

    function claim(
        address[] calldata users,
        address[] calldata tokens,
        uint256[] calldata amounts,
        bytes32[][] calldata proofs
    ) external {
        uint256 count = users.length;
        if (count == 0 || count != tokens.length || count != amounts.length || count != proofs.length) {
            revert InvalidLengths();
        }
        for (uint256 i; i < count; i++) {
            _claim(users[i], tokens[i], amounts[i], proofs[i]);
        }
    }

    function _claim(address user, address token, uint256 amount, bytes32[] calldata proof) private {
        if (msg.sender != user && operators[user][msg.sender] == 0) revert NotWhitelisted();
        bytes32 node = keccak256(abi.encode(user, token, amount));
        for (uint256 i; i < proof.length; i++) {
            node = node < proof[i]
                ? keccak256(abi.encode(node, proof[i]))
                : keccak256(abi.encode(proof[i], node));
        }
        bytes32 root = getMerkleRoot();
        if (node != root) revert InvalidProof();
        uint256 toSend = amount - claimed[user][token].amount;
        claimed[user][token] = Claim(uint208(amount), uint48(block.timestamp), root);
        IMerkleToken(token).transfer(user, toSend);
        emit Claimed(user, token, toSend);
    }
}
