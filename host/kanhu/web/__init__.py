"""The call desk (`/desk`): see kanhu.web.desk."""

from .desk import Desk

__all__ = ["Desk"]
