"""Readers of other people's weight files under the name that scripts import them by."""

from ctl_helpers.weights.files import read
from ctl_helpers.weights.pickles import read_module_pickle

__all__ = ["read", "read_module_pickle"]
