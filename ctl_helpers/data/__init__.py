"""Data sets: what a dependency ships, what is generated here, and loaders of real files."""
