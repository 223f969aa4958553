"""Values only: what flows between the steps of a cycle. Standard library alone, no I/O, no clock."""
