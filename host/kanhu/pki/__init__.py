"""The private certificate authority: makes, issues, renews, rotates; keys are mode 0600 and never printed."""

from .authority import Authority
from .certificates import Certified, issue, make_ca
from .files import PkiError

__all__ = ["Authority", "Certified", "PkiError", "issue", "make_ca"]
