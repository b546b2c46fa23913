"""What is made once.

- ``artifacts``: content-addressed folders, whole or not there.
- ``code_keys``: a digest of some code and all of this package that it reaches.
"""
