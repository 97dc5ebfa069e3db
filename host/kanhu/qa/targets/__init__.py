"""Where boards come from: sim makes simulated ones, usb takes those of bench.toml."""
