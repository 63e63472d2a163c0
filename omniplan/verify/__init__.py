"""Holding what omniplan says against reality: what a running server does and says."""
