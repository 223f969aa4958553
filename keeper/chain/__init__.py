"""Chains through their endpoints: reads, fees, simulation, receipts, forks. Start at ``client.open_chain``."""
