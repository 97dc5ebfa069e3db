"""What can go wrong around a hub, switched on and off by the suite."""
