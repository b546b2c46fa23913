"""Fine-tune one network on two tasks, then ask whether the two will merge."""

import copy

import torch
from sklearn.datasets import load_digits
from torch import nn

import ctl_helpers as ctl

images, digits = map(torch.tensor, load_digits(return_X_y=True))
images = images.float() / 16


def trained(network: nn.Module, chosen: torch.Tensor, steps: int) -> nn.Module:
    """A copy of a network, trained on the chosen images."""
    network = copy.deepcopy(network)
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    for rows in torch.nonzero(chosen).flatten()[: 64 * steps].split(64):
        adam.zero_grad()
        nn.functional.cross_entropy(network(images[rows]), digits[rows]).backward()
        adam.step()
    return network


torch.manual_seed(0)
layers = [nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)]
base = trained(nn.Sequential(*layers), digits >= 0, steps=16)
even = trained(base, digits % 2 == 0, steps=14)
odd = trained(base, digits % 2 == 1, steps=14)

report = ctl.probe(base, even, odd, data=[(images[-64:], digits[-64:])])
print(report)
report.save("report")
