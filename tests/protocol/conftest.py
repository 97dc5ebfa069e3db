import logging

from hypothesis import HealthCheck, settings

# cddl-verifier logs every mismatch at length; the tests ask it hundreds of times for one.
logging.getLogger("cddl_verifier").disabled = True

# A busy machine is slow: that says nothing about the code.
settings.register_profile("protocol", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("protocol")
