"""Pages over HTTP: the call desk (desk), the families' page (family), and the server of both (site)."""
