// SPDX-License-Identifier: MIT
pragma solidity 0.8.28;

/// Runs calls as the account at whose address this code is placed by a state override of eth_call, one after another,
/// and reports for each its success, gas, answer, and the account's token balances afterwards. Never deployed.
contract Probe {
    struct Call {
        address to;
        uint256 value;
        bytes data;
    }

    struct Outcome {
        bool success;
        uint256 gasUsed;
        bytes answer;
        uint256[] balances;
    }

    /// balanceOf of a watched token reverted or answered less than a word.
    error UnreadableToken(address token);

    /// Outcomes end with the first failure. No state is kept: only eth_call ever runs this.
    function run(Call[] calldata calls, address[] calldata tokens)
        external
        payable
        returns (uint256[] memory balancesBefore, Outcome[] memory outcomes)
    {
        balancesBefore = _balances(tokens);
        outcomes = new Outcome[](calls.length);
        for (uint256 i = 0; i < calls.length; i++) {
            address to = calls[i].to;
            uint256 value = calls[i].value;
            bytes memory data = calls[i].data;
            uint256 gasBefore = gasleft();
            (bool success, bytes memory answer) = to.call{value: value}(data);
            uint256 gasUsed = gasBefore - gasleft();
            outcomes[i] = Outcome(success, gasUsed, answer, _balances(tokens));
            if (!success) {
                assembly {
                    mstore(outcomes, add(i, 1))
                }
                break;
            }
        }
    }

    function _balances(address[] calldata tokens) private view returns (uint256[] memory balances) {
        balances = new uint256[](tokens.length);
        for (uint256 i = 0; i < tokens.length; i++) {
            (bool success, bytes memory answer) =
                tokens[i].staticcall(abi.encodeWithSelector(0x70a08231, address(this)));
            if (!success || answer.length < 32) revert UnreadableToken(tokens[i]);
            balances[i] = abi.decode(answer, (uint256));
        }
    }

    // A plain account takes gas tokens and NFTs from anybody; so must this.

    receive() external payable {}

    function onERC721Received(address, address, uint256, bytes calldata) external pure returns (bytes4) {
        return this.onERC721Received.selector;
    }

    function onERC1155Received(address, address, uint256, uint256, bytes calldata) external pure returns (bytes4) {
        return this.onERC1155Received.selector;
    }
}
