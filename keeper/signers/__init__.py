"""Keys, one kind a file, and the policy that stands before each of them."""
