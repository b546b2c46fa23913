"""Settings: an architecture, its tasks, recipes and grids, each read from one YAML file.

- ``registry``: settings and profiles by name; a kind's module is imported when one is loaded.
- ``schema``: what settings of every kind have in common.
- ``scratch``: networks trained from random weights.
- ``tuned``: networks fine-tuned by steps from a pretrained one.
- ``clip``, ``text``: CLIPs and text networks that are pretrained here.
- ``published_clip``, ``published_text``: those of the hub.
- ``tasks``: parts or variants of one data set.
"""

from ctl_helpers.settings.registry import Profile, load, names, profile

__all__ = ["Profile", "load", "names", "profile"]
