"""The live network: its weights survive the trip, and the browser computes what PyTorch does."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from test_sphinx_figures import listen
from torch import Tensor, nn
from torch.nn.functional import interpolate

import ctl_helpers as ctl
from ctl_helpers import settings
from ctl_helpers.site import live

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
    digits = images.double().flatten()
    for text, values in ((data["networks"]["PT"], whole), (data["digits"]["0°"], digits)):
        torch.testing.assert_close(numbers(text), values, atol=1e-3, rtol=1e-3)


@pytest.mark.slow
def test_the_script_is_written_anew_for_new_weights_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = settings.load(live.SETTING).shortened(0)
    monkeypatch.setattr(settings, "load", lambda name: setting)
    path = tmp_path / "site" / "live-data.js"
    live.write(path)
    os.utime(path, (1, 1))
    live.write(path)
    assert path.stat().st_mtime == 1
    before = parsed(path.read_text(encoding="utf-8"))
    longer = replace(setting.finetuning, epochs=2)
    setting = setting.model_copy(update={"finetuning": longer})
    live.write(path)
    after = parsed(path.read_text(encoding="utf-8"))
    changed = {name for name, text in before["networks"].items() if after["networks"][name] != text}
    assert changed == set(setting.finetune)
    assert after["digits"] == before["digits"]


@pytest.mark.slow
def test_the_book_tool_leaves_the_weights_that_are_in_the_site(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "conf.py").write_text(
        'extensions = ["ctl_helpers.site.sphinx_figures"]\nroot_doc = "page"\n'
    )
    weights = tmp_path / "_build" / "html" / "_static" / "live-data.js"
    weights.parent.mkdir(parents=True)
    for text in ("old", "new"):
        (tmp_path / "page.rst").write_text(f"{text.title()}\n====\n")
        weights.write_text(text)
        done = [sys.executable, "-m", "sphinx", "-q", "-D", "exclude_patterns=_build"]
        site = weights.parents[1]
        subprocess.run([*done, str(tmp_path), str(site)], check=True, timeout=120)
        assert "<title>" + text.title() in (site / "page.html").read_text()
        assert weights.read_text() == text


def rounded(data: dict[str, Any]) -> dict[str, dict[str, Tensor]]:
    """The networks of the page as state dicts in float64."""
    names = settings.load(live.SETTING).build().state_dict()
    found = {}
    for network, text in data["networks"].items():
        parts = numbers(text).split([np.prod(shape) for shape in data["shapes"]])
        values = [part.view(*shape) for part, shape in zip(parts, data["shapes"], strict=True)]
        found[network] = dict(zip(names, values, strict=True))
    return found


def choose(page: Page, label: str, value: str) -> None:
    page.get_by_label(label, exact=True).select_option(value)


def ink_of(page: Page) -> Tensor:
    return torch.tensor(page.evaluate("window.ctlLive.ink"), dtype=torch.float64).view(1, 1, 32, 32)


@pytest.fixture
def page(site: Path, browser: Browser) -> Iterator[Page]:
    """The page, which must have no errors and ask for nothing from elsewhere."""
    page = browser.new_page()
    noise = listen(page)
    page.goto((site / "book" / "live.html").as_uri())
    page.wait_for_function("window.ctlLive")
    yield page
    assert not noise


@pytest.mark.slow
def test_the_browser_computes_what_pytorch_does(site: Path, page: Page) -> None:
    data = parsed((site / "_static" / "live-data.js").read_text(encoding="utf-8"))
    networks = rounded(data)
    model = settings.load(live.SETTING).build().double()
    seen = set()
    for mode, i, j, factor, turned, digit in (
        ("alpha", "22.5°", "90°", 0.5, "0°", 3),
        ("alpha", "22.5°", "90°", 0, "90°", 3),
        ("alpha", "45°", "67.5°", 1, "45°", 0),
        ("alpha", "67.5°", "22.5°", 0.25, "22.5°", 7),
        ("lambda", "22.5°", "90°", 0.4, "90°", 5),
        ("lambda", "45°", "90°", 1, "0°", 9),
    ):
        asked = {"Walk": mode, "Network i": i, "Network j": j, "Test images turned by": turned}
        for label, value in asked.items():
            choose(page, label, value)
        page.get_by_role("button", name=f"Digit {digit}").click()
        page.locator("#live input[type=range]").fill(str(factor))
        state = page.evaluate("window.ctlLive")
        assert [state["mode"], state["i"], state["j"], state["factor"]] == [mode, i, j, factor]
        image = numbers(data["digits"][turned]).view(10, -1)[digit : digit + 1]
        assert torch.equal(torch.tensor(state["image"], dtype=torch.float64), image[0])
        ask = ctl.pairs if mode == "alpha" else partial(ctl.addition, "PT")
        (question,) = ask([i, j], [factor])
        table = ctl.compare(model, networks, [question], [image])
        for layer in state["layers"]:
            for metric in ("distance", "coef", "baseline"):
                (expected,) = table.query("layer == @layer['name'] and metric == @metric")["mean"]
                assert layer[metric] == pytest.approx(expected, abs=1e-4), (mode, layer["name"])
        logits = ctl.logits(model, networks, [question.left], [image])[None][0]
        assert state["logits"] == pytest.approx(logits[0].tolist(), abs=1e-4)
        seen.add(page.locator(".live-summary").inner_text())
    assert len(seen) == 6


@pytest.mark.slow
def test_what_the_page_says_follows_the_keys(page: Page) -> None:
    words = [page.locator(f".live-{part}") for part in ("summary", "layers", "classes")]
    strips = "() => [...document.querySelectorAll('.live-strip path')].map((p) => p.outerHTML)"
    page.get_by_role("button", name="Digit 3").click()  # which networks are less sure of
    before, drawn = [part.inner_text() for part in words], page.evaluate(strips)
    page.get_by_label("α", exact=True).focus()
    page.keyboard.press("End")
    assert all(part.inner_text() != old for part, old in zip(words, before, strict=True))
    assert page.evaluate(strips) != drawn
    assert words[0].inner_text().startswith("At α = 1.00 the two sides differ by at most 0 ")
    page.get_by_role("button", name="Digit 8").focus()
    page.keyboard.press("Enter")
    chosen = page.locator("#live button[aria-pressed=true]")
    assert chosen.count() == 1
    assert chosen.get_attribute("aria-label") == "Digit 8"
    assert "This 8 is read as" in words[0].inner_text()
    choose(page, "Walk", "lambda")
    assert page.get_by_label("λ", exact=True).get_attribute("aria-valuetext") == "λ = 1"
    assert page.locator(".live-strip:not([aria-label])").count() == 0


@pytest.mark.slow
def test_the_page_opens_on_a_digit_that_both_sides_read_and_ends_with_one_they_do_not(
    page: Page,
) -> None:
    def read() -> tuple[int, int, int]:
        state = page.evaluate("window.ctlLive")
        return state["digit"], *(int(np.argmax(state[side])) for side in ("logits", "mean"))

    label, own, other = read()
    assert label == own == other
    page.get_by_role("button", name="Look at it above").click()
    told = page.locator("#live-apart").inner_text()
    label, own, other = read()
    assert own != other
    assert f"A {label}, turned by" in told
    assert f"mixed weights read {own} (" in told
    assert f"mixed features {other} (" in told


@pytest.mark.slow
def test_a_drawing_is_made_as_the_data_set_was(page: Page) -> None:
    drawing = page.locator(".live-drawing")
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + 20

    def line(*points: tuple[float, float]) -> None:
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=4)
        page.mouse.up()

    line((x, y), (x, y + 120))
    ink = ink_of(page)
    assert ink[..., 4:26, 15:17].mean() == 1
    assert ink[..., :12].sum() == 0
    line((x - 40, y), (x + 40, y + 60))
    assert page.evaluate("window.ctlLive.digit") is None
    ink = ink_of(page)
    assert ink[..., 4:26, 15:17].mean() == 1, "a second line is added to the first"
    counts = ink.unfold(2, 4, 4).unfold(3, 4, 4).sum((-1, -2))
    expected = interpolate(counts / 16, size=(28, 28), mode="bicubic", align_corners=False)
    image = torch.tensor(page.evaluate("window.ctlLive.image"), dtype=torch.float64)
    torch.testing.assert_close(image, expected.clamp(0, 1).flatten(), atol=1e-9, rtol=0)
    assert page.locator(".live-summary").inner_text().count("Your drawing is read as") == 1
    page.get_by_role("button", name="Digit 3").click()
    page.get_by_role("button", name="Clear and draw").click()
    assert max(page.evaluate("window.ctlLive.image")) == 0
