"""The multi-layer perceptron of the Rotated MNIST experiments."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


class MLP(nn.Sequential):
    """``inputs → width → … → width → classes`` with ReLU between (CTL paper, Appendix C.1.1).

    Features are taken after each ReLU and at the output: ``relu1 … reluN`` and ``head``.

    Args:
        inputs: values of one flattened image.
        width: units of each hidden layer.
        hidden_layers: how many there are. The paper's text says two hidden layers and also four
            linear layers and three ReLUs; three hidden layers fit the latter and its figures.
        classes: logits.
    """

    def __init__(
        self, inputs: int = 784, width: int = 100, hidden_layers: int = 3, classes: int = 10
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        for depth in range(1, hidden_layers + 1):
            layers[f"linear{depth}"] = nn.Linear(inputs if depth == 1 else width, width)
            layers[f"relu{depth}"] = nn.ReLU()
        layers["head"] = nn.Linear(width, classes)
        super().__init__(layers)
        self.feature_layers = tuple(name for name in layers if name.startswith(("relu", "head")))
