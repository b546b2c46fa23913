"""A training step of the three paradigms on CLIP of a true size: time and peak memory as ratios.

Weights and images are random. Each paradigm takes its turn in one process:

    python benchmarks/cost.py                            # ViT-B/32, 8 images, as in make bench
    python benchmarks/cost.py --batch 128 --device cuda  # the paper's batch
"""

from __future__ import annotations

import argparse
from functools import partial

import open_clip
import torch
from torch import Tensor, nn

from ctl_helpers.engine.linearized import Linearized
from ctl_helpers.models.clip import ImageTower
from ctl_helpers.training.step_cost import step_costs, trainer
from ctl_helpers.training.steps import StepRecipe

PARADIGMS = ("full", "tangent", "attention-weights")
_GREY = (0.5, 0.5, 0.5)


def main() -> None:
    """Measure as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", default="ViT-B-32")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    device = torch.device(options.device)
    images = torch.rand(options.batch, 3, 224, 224, device=device)
    rows = torch.arange(options.batch, device=device)

    def build(paradigm: str) -> nn.Module:
        clip = open_clip.create_model(options.architecture, load_weights=False)
        tower = ImageTower(clip.visual, _GREY, _GREY)
        model = Linearized(tower, tower.state_dict()) if paradigm == "tangent" else tower
        return model.to(device)

    def loss(model: nn.Module, rows: Tensor) -> Tensor:
        return model(images[rows]).square().mean()

    jobs = {}
    for paradigm in PARADIGMS:
        recipe = StepRecipe(1, 1e-5, options.batch, paradigm=paradigm)
        jobs[paradigm] = partial(trainer, partial(build, paradigm), loss, rows, recipe)
    table = step_costs(jobs, options.repeats, device)
    medians = table.groupby("paradigm")[["seconds", "bytes"]].median().loc[list(PARADIGMS)]
    named = torch.cuda.get_device_name() if device.type == "cuda" else "the CPU"
    print(f"{options.architecture}, {options.batch} images, on {named}; over all parameters:")
    for paradigm, ratio in (medians / medians.loc["full"]).iterrows():
        seconds, size = medians.loc[paradigm]
        print(
            f"  {paradigm:18} time {ratio.seconds:.2f} ({seconds * 1e3:,.1f} ms), "
            f"memory {ratio.bytes:.2f} ({size / 2**20:,.0f} MiB)"
        )


if __name__ == "__main__":
    main()
