"""Field incidents: taken from a journal, replayed on the simulated hub, kept as tests.

docs/flight-recorder.md tells how."""
