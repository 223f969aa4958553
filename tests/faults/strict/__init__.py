"""Nodes that hold to geth's transaction-pool rules: a shim in front of anvil, and EDR, which proves the shim."""
