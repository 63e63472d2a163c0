"""Command lines: what common/arg.cpp reads, checks and refuses."""
