"""The fair: every protocol family on one local chain, one file a family, the farmer staked in each of them.

A family's file has two functions. ``build(yard)`` deploys it, stakes for the farmer, and returns its addresses by
name; it runs once, and the chain is kept in a file. ``stalls(ground)`` says, from those addresses alone, which
positions there are. A file that is put into this folder is part of the fair.
"""
