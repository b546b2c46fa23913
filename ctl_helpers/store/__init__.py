"""What is made once.

- ``artifacts``: content-addressed folders, whole or not there.
- ``status``: what processes are at, and which wait for another.
- ``code_keys``: a digest of some code and all of this package that it reaches.
"""
