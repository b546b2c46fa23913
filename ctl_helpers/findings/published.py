"""Numbers of the papers that stand beside the book's own."""

from __future__ import annotations

from ctl_helpers.results.labels import Paradigm

SUMS = {
    "ViT-B/32": {
        "pretrained": "48.40",
        Paradigm.FULL: "70.00 / 77.04",
        Paradigm.TANGENT: "76.26 / 85.82",
        Paradigm.ATTENTION_WEIGHTS: "78.37 / 87.42",
    },
    "ViT-B/16": {
        "pretrained": "55.25",
        Paradigm.FULL: "74.75 / 80.59",
        Paradigm.TANGENT: "79.01 / 86.32",
        Paradigm.ATTENTION_WEIGHTS: "80.44 / 87.25",
    },
    "ViT-L/14": {
        "pretrained": "66.40",
        Paradigm.FULL: "84.40 / 89.47",
        Paradigm.TANGENT: "85.53 / 91.44",
        Paradigm.ATTENTION_WEIGHTS: "87.91 / 93.66",
    },
}
"""Table 1 of Jin et al. 2024: absolute / normalized accuracy of all task vectors added, percent."""

LINEAR_LAYERS = {
    Paradigm.ATTENTION_WEIGHTS: "89.55 / 78.37 / 87.42",
    Paradigm.ATTENTION: "89.48 / 77.71 / 86.79",
    Paradigm.BLOCK_WEIGHTS: "88.95 / 76.52 / 86.11",
    Paradigm.BLOCK: "89.43 / 77.80 / 86.93",
}
"""Its Table 2, ViT-B/32: single-task / absolute / normalized accuracy, percent."""

EXPLAINED = {"product": "0.903", "curvature": "0.782", "squared_distance": "0.839"}
"""R² of regressions of the loss's deviation, in Appendix C.2 of the CTL paper."""
