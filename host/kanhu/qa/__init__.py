"""The hardware-in-the-loop suite's library: a bench of simulated boards or of real ones (docs/qa.md)."""
