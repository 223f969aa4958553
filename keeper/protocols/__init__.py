"""Protocol adapters: one file is one family of farms or markets, without I/O. They never import one another's rooms."""
