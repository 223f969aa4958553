"""The ops port: health, readiness and metrics for machines, read-only, on loopback unless told otherwise."""
