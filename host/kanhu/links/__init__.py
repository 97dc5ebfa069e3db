"""Where hubs come in. A link hands (hub_id, payload, link name) to the daemon and sends bytes down."""
