"""Runs of notebooks.

- ``plan``: which notebook runs on which setting and grid point, under which key.
- ``execute``: papermill on a Dask cluster; each run kept once it is whole.
- ``cluster``: the Dask cluster that runs go to, and what they ask of its workers.
- ``expected``: how long runs take, in which order they start, and until when.
- ``failures``: what is told and kept of a run that failed.
- ``kernels``: what kernels write, and how they are talked to.
- ``idle``: kernels that stand still are ended.
- ``notebook_pairs``: the .md source of each notebook and its .ipynb twin.
"""
