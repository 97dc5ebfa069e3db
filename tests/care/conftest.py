from __future__ import annotations

from fixtures_host import host, hub, open_host

__all__ = ["host", "hub", "open_host"]
