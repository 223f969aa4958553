"""A local chain with the protocols' own contracts, for the demo and the tests. Start at ``world.build_world``."""
