"""The paragraphs and tables that pages and notebooks compute, a module per page.

Each is ``(*tables, panels) → Markdown``; numbers that stand elsewhere too are quoted findings.

- ``batchnorm``: Section 4.1, statistics of BatchNorm.
- ``live``: the live network.
"""
