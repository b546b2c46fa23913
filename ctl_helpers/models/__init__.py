"""Networks of the settings; each names the layers whose features are compared.

- ``mlp``: the MLPs of Rotated MNIST and of the digits.
- ``resnet``: ResNet-18 and the ResNets for CIFAR-10.
- ``parts``: small networks whose parts are chosen one by one.
- ``clip``: CLIP's image tower, and a small CLIP.
- ``efficientnet``: EfficientNets in stages.
- ``heads``: frozen heads made from prompts.
- ``linear_head``: frozen heads fitted to features.
- ``text``: what text networks have in common, and checkpoints under transformers' names.
- ``bert``: BERT encoders in stages, which make a vector of a text.
- ``t5``: T5 in stages.
- ``llama``: Llama, and networks of its shape, in stages.
- ``choices``: a Llama that scores many answers to one prompt, and the heads that read them.
"""

from __future__ import annotations

from importlib import import_module

from torch import nn

# Looked up by name, so that a stored checkpoint depends on its own network's source alone.
_PLACES = {
    "mlp": ("mlp", "MLP"),
    "resnet18": ("resnet", "ResNet18"),
    "split-resnet18": ("resnet", "SplitResNet18"),
    "cifar-resnet": ("resnet", "CifarResNet"),
    "imagenet-resnet18": ("resnet", "ImageNetResNet18"),
    "parts-mlp": ("parts", "PartsMLP"),
    "parts-resnet": ("parts", "PartsResNet"),
    "parts-vit": ("parts", "PartsViT"),
}


def build(architecture: str, **sizes: object) -> nn.Module:
    """The network of that name, with weights that nobody should use."""
    module, name = _PLACES[architecture]
    return getattr(import_module(f"{__name__}.{module}"), name)(**sizes)


def source(architecture: str) -> str:
    """The module of this package that defines it, as ``"models.mlp"``."""
    return f"models.{_PLACES[architecture][0]}"
