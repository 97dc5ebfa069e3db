"""What a hub hears while a window is open, which of it a person takes, and the proof that it works."""

from .choosing import opens
from .pairing import Pairing
from .values import MAX_WINDOW_S, PROOF_S, WINDOW_S, Heard, PairingError, Proof, Why, Window
from .voice import REFUSALS, Down

__all__ = [
    "MAX_WINDOW_S", "PROOF_S", "REFUSALS", "WINDOW_S",
    "Down", "Heard", "Pairing", "PairingError", "Proof", "Why", "Window", "opens",
]  # fmt: skip
