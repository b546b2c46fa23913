"""Networks of the settings; each names the layers whose features are compared."""
