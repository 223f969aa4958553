"""Sinks of the event stream: the log, the metrics, the heartbeat, and the one redaction step before all output."""
