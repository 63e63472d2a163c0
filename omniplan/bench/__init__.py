"""Measuring a running server: the protocol, its client, statistics, gates, and the plan beside them."""
