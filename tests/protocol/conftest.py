import logging

# cddl-verifier logs every mismatch at length; the tests ask it hundreds of times for one.
logging.getLogger("cddl_verifier").disabled = True
