"""Rules as data: pure functions over what is known of a home."""
