"""Measure Cross-Task Linearity on any PyTorch models: ``import ctl_helpers as ctl``.

The names of ``__init__.pyi`` are the library's, loaded when they are first asked for.

The library, which needs torch, numpy, pandas and tqdm, and imports nothing of the book:

- ``engine``: hooks, interpolation and every measurement on features, outputs and losses.
- ``analysis``: what is computed from weights, derivatives or finished tables.
- ``weights``: reading other people's checkpoints, from files and from the hub.
- ``models``: the networks of the settings.
- ``probing``: will these checkpoints merge, and if not, where does it break?
- ``errors``: the kinds of mistakes that sentences are about, and their places on the page *Errors*.
- ``weight_files``: readers of ``weights`` under the name that older scripts import.

The book, floor by floor from the lowest:

- ``store``: artifacts that are made once, and the keys that say when to make them again.
- ``data``: data sets, and texts and images as batches.
- ``training``: recipes, losses and loops, whose checkpoints are artifacts.
- ``settings``: an architecture, its tasks and recipes, each read from one YAML file.
- ``results``: the declared tables of a run, written with their provenance and read for pages.
- ``runs``: which notebook runs on which setting, and its execution.
- ``findings``: each number of the book once, with its interval, and the verdicts on the claims.
- ``figures``: interactive figures of tables, whose words are findings'.
- ``site``: the pages of the book around all of it.
"""

from types import FunctionType

import lazy_loader

from ctl_helpers.errors import linked

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    value = _load(name)
    if isinstance(value, FunctionType):
        value = globals()[name] = linked(value)
        value.__module__ = __name__  # where pickles find it
    return value
