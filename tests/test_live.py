"""The live network: its weights survive the trip, and the browser computes what PyTorch does."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ctl_helpers as ctl
from ctl_helpers import live, settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def parsed(script: str) -> dict[str, Any]:
    return json.loads(script.removeprefix("window.ctlLiveData = ").rstrip().removesuffix(";"))


def numbers(text: str) -> Tensor:
    values = np.frombuffer(base64.b64decode(text), "<f2").astype(np.float64)
    return torch.from_numpy(values)


def test_a_network_survives_the_script() -> None:
    torch.manual_seed(0)
    state = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).state_dict()
    images = torch.rand(10, 4)
    data = parsed(live.script({"PT": state, "22.5°": state}, {"0°": images}))
    assert data["shapes"] == [[3, 4], [3], [2, 3], [2]]
    assert set(data["networks"]) == {"PT", "22.5°"}
    whole = torch.cat([value.flatten() for value in state.values()]).double()
    torch.testing.assert_close(numbers(data["networks"]["PT"]), whole, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(
        numbers(data["digits"]["0°"]).view(10, 4), images.double(), atol=1e-3, rtol=1e-3
    )


def rounded(data: dict[str, Any]) -> dict[str, dict[str, Tensor]]:
    """The networks of the page as state dicts in float64."""
    names = settings.load(live.SETTING).build().state_dict()
    found = {}
    for network, text in data["networks"].items():
        parts = numbers(text).split([np.prod(shape) for shape in data["shapes"]])
        values = [part.view(*shape) for part, shape in zip(parts, data["shapes"], strict=True)]
        found[network] = dict(zip(names, values, strict=True))
    return found


def questions(state: dict[str, Any]) -> list[ctl.Comparison]:
    i, j, factor = state["i"], state["j"], state["factor"]
    if state["mode"] == "alpha":
        return ctl.pairs([i, j], [factor])
    return ctl.addition("PT", [i, j], [factor])


def choose(page: Page, label: str, value: str) -> None:
    page.get_by_label(label, exact=True).select_option(value)


@pytest.mark.slow
def test_the_browser_computes_what_pytorch_does(site: Path, browser: Browser) -> None:
    data = parsed((site / "_static" / "live-data.js").read_text(encoding="utf-8"))
    networks = rounded(data)
    model = settings.load(live.SETTING).build().double()
    page = browser.new_page()
    noise: list[str] = []
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.on(
        "request", lambda r: None if r.url.startswith(("file:", "data:")) else noise.append(r.url)
    )
    page.goto((site / "book" / "live.html").as_uri())
    page.wait_for_function("window.ctlLive")
    seen = set()
    for mode, i, j, factor, turned, digit in (
        ("alpha", "22.5°", "90°", 0.5, "0°", 3),
        ("alpha", "22.5°", "90°", 0, "90°", 3),
        ("alpha", "45°", "67.5°", 1, "45°", 0),
        ("alpha", "67.5°", "22.5°", 0.25, "22.5°", 7),
        ("lambda", "22.5°", "90°", 0.4, "90°", 5),
        ("lambda", "45°", "90°", 1, "0°", 9),
    ):
        choose(page, "Walk", mode)
        choose(page, "Network i", i)
        choose(page, "Network j", j)
        choose(page, "Test images turned by", turned)
        page.get_by_role("button", name=f"Digit {digit}").click()
        page.locator("#live input[type=range]").fill(str(factor))
        state = page.evaluate("window.ctlLive")
        assert [state["mode"], state["i"], state["j"], state["factor"]] == [mode, i, j, factor]
        image = numbers(data["digits"][turned]).view(10, -1)[digit : digit + 1]
        assert torch.equal(torch.tensor(state["image"], dtype=torch.float64), image[0])
        (asked,) = questions(state)
        table = ctl.compare(model, networks, [asked], [image])
        for layer in state["layers"]:
            for metric in ("distance", "coef", "baseline"):
                (expected,) = table.query("layer == @layer['name'] and metric == @metric")["mean"]
                assert layer[metric] == pytest.approx(expected, abs=1e-4), (mode, layer["name"])
        logits = ctl.logits(model, networks, [asked.left], [image])[None][0]
        assert state["logits"] == pytest.approx(logits[0].tolist(), abs=1e-4)
        seen.add(page.locator(".live-summary").inner_text())
    assert len(seen) == 6
    assert not noise


@pytest.mark.slow
def test_a_drawing_is_read(site: Path, browser: Browser) -> None:
    page = browser.new_page()
    page.goto((site / "book" / "live.html").as_uri())
    page.wait_for_function("window.ctlLive")
    page.get_by_role("button", name="Clear the drawing").click()
    assert max(page.evaluate("window.ctlLive.image")) == 0
    page.locator(".live-drawing").scroll_into_view_if_needed()
    box = page.locator(".live-drawing").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + 20
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 120, steps=4)
    page.mouse.up()
    image = np.array(page.evaluate("window.ctlLive.image")).reshape(28, 28)
    assert image.max() > 0.9
    assert image[4:23, 12:16].mean() > 5 * image[:, :6].mean() + 0.1
