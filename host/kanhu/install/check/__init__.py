"""The acceptance of a home: what is looked at, what was found, and who signs for it."""
