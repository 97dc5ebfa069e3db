"""The private certificate authority: makes, issues, renews, rotates; keys are mode 0600 and never printed."""

from .authority import Authority, PkiError
from .certificates import Certified, issue, make_ca

__all__ = ["Authority", "Certified", "PkiError", "issue", "make_ca"]
