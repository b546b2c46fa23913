"""The labels that stored tables may hold, and the points of a grid that pages speak of."""

from __future__ import annotations

from enum import Enum

from ctl_helpers.analysis import levels
from ctl_helpers.training.trainable import Paradigm

PAPER_LAMBDA = 0.4
"""λ of the paper's figures on Equations 2 and 3."""


_SECTIONS = {
    "4.1.batchnorm": "4.1 BatchNorm",
    "4.2.many": "4.2 many networks",
    "4.3.text": "4.3 language",
    "5.curvature": "curvature",
    "5.epochs": "length of pretraining",
    "5.similarity": "likeness of tasks",
    "A": "appendix A",
    "linear": "linear layers only",
    "many-tasks": "many tasks",
}


def section_title(section: str) -> str:
    """A section as a reader calls it; commands call it by its key."""
    return _SECTIONS.get(section, section)


class Label(str, Enum):
    """A string with a name, stored, compared and printed as that string."""

    def __str__(self) -> str:
        return str(self.value)


class Metric(Label):
    """What a comparison measures."""

    DISTANCE = "distance"
    BASELINE = "baseline"
    COEF = "coef"
    EPSILON = "epsilon"


class Split(Label):
    """Which examples a score is on."""

    HELD_OUT = "held-out"
    TEST = "test"


class Statistics(Label):
    """Where a mixed network's BatchNorm statistics come from; the last is no mix."""

    MIXED = "mixed"
    RECOMPUTED = "recomputed"
    TUNED = "fine-tuned, own task"


class Role(Label):
    """Whose examples: those of a pair's tasks, or of the pretraining task."""

    FIRST = "D_i"
    PRETRAINING = "D_PT"
    SECOND = "D_j"


class Control(Label):
    """What is compared; the first is what the paper has, the others are null controls."""

    TASK_VECTORS = "task vectors"
    APART = "pretrained apart"
    SCRATCH = "from random weights"
    RANDOM = "random vectors"
    OTHER_SAMPLES = "other samples"


class Triple(Label):
    """Three networks, by what they were trained on."""

    NEAR = "near tasks"
    FAR = "with a far task"
    APART = "one pretrained apart"


class Lemma(Label):
    """Lemmas of the paper's Appendix B."""

    B2 = "B.2"
    B3 = "B.3"


class Weights(Label):
    """The weights of networks in a mix."""

    EQUAL = "equal"
    UNEQUAL = "unequal"


class AddedModel(Label):
    """The front of a stitched model on two tasks (Figure 9)."""

    FEATURES = "averaged features"
    FIRST = "features of i"
    SECOND = "features of j"
    WEIGHTS = "merged weights"


class NegatedModel(Label):
    """What a stitched model has subtracted (Figure 10)."""

    FEATURE = "feature subtracted"
    WEIGHTS = "weights subtracted"


class Scheme(Label):
    """How the α of Theorem 4.3 goes with the number of task vectors."""

    CONSTANT = "α = 0.1"
    FALLING = "(k+1)α = 0.8"


class Direction(Label):
    """What points at samples and classes."""

    TASK = "task vector"
    RANDOM = "random vector"
    FEATURE = "pretrained feature"
    TASK_OWN = "task vector, less the task's mean"
    RANDOM_OWN = "random vector, less the task's mean"


class Reads(Label):
    """Whose features a linear probe reads that was fitted on those of a task's own network."""

    OWN = "own network"
    START = "pretrained network"
    OTHER = "another task's network"
    MERGED = "merged network"


class Terms(Label):
    """How many task vectors have a term in common, at most: inclusion–exclusion."""

    SINGLES = "single vectors"
    PAIRS = "and pairs"
    TRIPLES = "and triples"


class Scope(Label):
    """Which layers are mixed when a layer's feature is looked at."""

    ALL = "all layers mixed"
    ALONE = "the layer alone"
    ATTENTION = "attention alone"
    MLP = "MLP alone"
    NORM = "norm alone"


class Pooling(Label):
    """How the states of a text become its feature."""

    PAPER = "the paper's"
    LAST = "last token of the prompt"
    ANSWER = "mean over the answer"
    PROMPT = "mean over the prompt"


class Buffers(Label):
    """What θ holds: the parameters, or also the running statistics of BatchNorm."""

    PARAMETERS = "parameters"
    ALL = "with running statistics"


class Scale(Label):
    """Axes of a fit."""

    LINEAR = "linear"
    LOG = "log"


class Expansion(Label):
    """A network, or its first-order expansion in the weights."""

    NETWORK = "network"
    TAYLOR = "taylor"


PARADIGM_NAMES = {
    Paradigm.FULL: "all parameters",
    Paradigm.TANGENT: "tangent space",
    Paradigm.ATTENTION_WEIGHTS: "linear layers only",
    Paradigm.ATTENTION: "linear layers with biases",
    Paradigm.BLOCK_WEIGHTS: "linear layers of whole blocks",
    Paradigm.BLOCK: "linear layers of whole blocks with biases",
}
"""What a reader sees of a paradigm of fine-tuning, in the order of tables."""

MAIN_PARADIGMS = (Paradigm.FULL, Paradigm.TANGENT, Paradigm.ATTENTION_WEIGHTS)
"""Those that figures compare; the others are rows of Table 2 alone."""


class Variant(Label):
    """A network with one part changed, beside the network that all are compared with."""

    CENTRE = "centre"
    NO_RESIDUAL = "no residual connections"
    NO_NORM = "no normalization"
    BATCH = "BatchNorm, mixed"
    FROZEN = "BatchNorm, frozen"
    RECOMPUTED = "BatchNorm, recomputed"
    GROUP = "GroupNorm"
    LAYER = "LayerNorm"
    RELU = "ReLU"
    GELU = "GELU"
    TANH = "tanh"
    LINEAR = "no activation"
    PRODUCT = "no activation, no normalization"
    SHALLOWER = "half as deep"
    DEEPER = "twice as deep"
    NARROWER = "half as wide"
    WIDER = "twice as wide"


class Recipe(Label):
    """How networks are fine-tuned along one run."""

    PLAIN = "plain SGD"
    AWARE = "sharpness-aware"


class Level(Label):
    """Where on its run of fine-tuning a network is compared with another one."""

    DISPLACEMENT = levels.DISPLACEMENT
    ACCURACY = levels.ACCURACY


class Where(Label):
    """Of which layers a number is."""

    WORST = levels.WORST
    LAST = levels.LAST


class Output(Label):
    """What a disentanglement error compares."""

    CLASSIFICATION = "classification"
    REPRESENTATION = "representation"
    SCALE_FREE = "scale-free"
