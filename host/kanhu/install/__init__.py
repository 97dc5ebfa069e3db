"""Putting firmware on hubs: building it, and later flashing, provisioning and labels."""
