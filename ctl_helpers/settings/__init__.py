"""Settings: an architecture, its tasks, recipes and grids, each read from one YAML file.

- ``registry``: settings and profiles by name; a kind's module is imported when one is loaded.
- ``schema``: what settings of every kind have in common, and what others may ask of them.
- ``yaml_files``: reading what people write, with one sentence for what is wrong.
- ``needs``: data sets and weights on this machine, and getting them.
- ``images``, ``texts``: samples by task, as batches.
- ``trained``: networks trained here, whose checkpoints are stored.
- ``scratch``: those trained from random weights, by epochs.
- ``parts``: those whose network's parts are changed one at a time.
- ``tuned``: those fine-tuned by steps from a pretrained one.
- ``published_start``: those of them whose pretrained network is published.
- ``zero_shot``: those whose frozen heads the pretrained network makes of prompts.
- ``clip``, ``text``: CLIPs and text networks that are pretrained here.
- ``objectives``: an image tower that is pretrained for one objective or another.
- ``published_clip``, ``published_images``, ``published_resnet``: image networks that others
  pretrained.
- ``published_encoder``, ``published_text``: text networks that others pretrained.
- ``tuned_llama``: a published language model that is fine-tuned here.
"""

from ctl_helpers.settings.registry import Profile, describe, load, missing, names, profile
from ctl_helpers.settings.schema import Described, Setting

__all__ = ["Described", "Profile", "Setting", "describe", "load", "missing", "names", "profile"]
