"""A static folder in which a network runs in the browser, with nothing to install and nowhere to send pictures."""

from __future__ import annotations

from swath.deploy.web.site import export_site

__all__ = ["export_site"]
