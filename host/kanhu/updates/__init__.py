"""Releases brought to hubs over the air: first to a few, then to all, and to nobody when it goes wrong."""
