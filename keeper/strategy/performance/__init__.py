"""How positions really did, and how they would have done otherwise: pasts put together, replayed and raced."""
