"""How hypothesis judges time in every test: not at all, since machines that run the suite are busy with other work."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("omniplan", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("omniplan")
