"""The front page's picture: it shows what PyTorch computes, and its controls move both halves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from conftest import ROOT, epsilon
from test_live import numbers
from test_sphinx_figures import listen
from torch import Tensor

import ctl_helpers as ctl
from ctl_helpers.engine.mix import StateDict
from ctl_helpers.models.mlp import MLP
from ctl_helpers.site import hero, hero_still

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LAYERS = {"hidden 1": "relu1", "hidden 2": "relu2", "hidden 3": "relu3", "logits": "head"}
PRETRAINING = {"shared pretraining": "j", "pretrained apart": "j-apart"}
STATIC = ROOT / "book" / "_static"


def network() -> MLP:
    return MLP(28 * 28, 12, 3, 10).double()


def made() -> tuple[dict[str, StateDict], Tensor]:
    """Networks and images that float16 holds exactly, products of the first layer included."""
    torch.manual_seed(0)
    names = network().state_dict()

    def near(state: StateDict | None, steps: int) -> StateDict:
        drawn = {key: torch.randint(-steps, steps + 1, names[key].shape) / 8 for key in names}
        start = state or {key: torch.zeros(1) for key in names}
        return {key: start[key] + drawn[key].double() for key in names}

    one, other = near(None, 3), near(None, 3)
    networks = {"PT": one, "i": near(one, 1), "j": near(one, 1)}
    networks |= {"PT-apart": other, "j-apart": near(other, 1)}
    return networks, torch.randint(0, 2, (10, 28 * 28)).double()


def parsed(script: str) -> dict[str, Any]:
    return json.loads(script.removeprefix("window.ctlHeroData = ").rstrip().removesuffix(";"))


def test_the_first_layer_s_products_stand_for_its_weights() -> None:
    networks, images = made()
    data = parsed(hero.script(networks, images, {"i": "a", "j": "b"}))
    assert data["shapes"] == [[12, 12], [12], [12, 12], [12], [10, 12], [10]]
    assert set(data["first"]) == set(data["rest"]) == {"i", "j", "j-apart"}
    assert torch.equal(numbers(data["images"]), images.flatten())
    weights = {
        key: 0.25 * value + 0.75 * networks["j"][key] for key, value in networks["i"].items()
    }
    own = images @ weights["linear1.weight"].T + weights["linear1.bias"]
    first, rest = (
        0.25 * numbers(data[part]["i"]) + 0.75 * numbers(data[part]["j"])
        for part in ("first", "rest")
    )
    assert torch.equal(first, own.flatten())
    assert torch.equal(rest, torch.cat([value.flatten() for value in weights.values()][2:]))
    moved = [networks["j-apart"][key] - networks["PT"][key] for key in weights]
    length = torch.cat([value.flatten() for value in moved]).norm()
    assert data["lengths"]["PT j-apart"] == pytest.approx(float(length), abs=1e-4)


@pytest.fixture
def page(tmp_path: Path, browser: Browser) -> Iterator[Page]:
    """A page that has the picture alone, of made networks, without motion."""
    for name in ("network.js", "hero_geometry.js", "hero.js", "hero.css"):
        shutil.copy(STATIC / name, tmp_path)
    script = hero.script(*made(), {"i": "22.5°", "j": "90°"})
    (tmp_path / "data.js").write_text(script, encoding="utf-8")
    scripts = ("data.js", "network.js", "hero_geometry.js", "hero.js")
    tags = "".join(f'<script defer src="{name}"></script>' for name in scripts)
    (tmp_path / "page.html").write_text(
        '<!DOCTYPE html><html data-theme="light"><meta charset="utf-8">'
        f'<link rel="stylesheet" href="hero.css"><div id="hero" class="hero"></div>{tags}</html>'
    )
    page = browser.new_page(reduced_motion="reduce")
    noise = listen(page)
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_function("window.ctlHero")
    yield page
    assert not noise
    page.close()


def choose(page: Page, *labels: str, alpha: float | None = None) -> dict[str, Any]:
    """What the page knows after some choices."""
    for label in labels:
        page.locator("#hero").get_by_label(label, exact=True).check(force=True)
    if alpha is not None:
        page.locator("#hero").get_by_label("α", exact=True).fill(str(alpha))
    return page.evaluate("window.ctlHero")


def places(page: Page) -> list[dict[str, np.ndarray]]:
    """Where marks stand in each of the two drawings."""
    found = page.evaluate(
        """() => [...document.querySelectorAll(".hero-picture")].map((picture) =>
            [...picture.querySelectorAll("[data-at]")].map((mark) =>
                [mark.dataset.at, mark.getAttribute("transform").match(/-?[\\d.]+/g).map(Number)]))
        """
    )
    return [{name: np.array(place) for name, place in picture} for picture in found]


@pytest.mark.parametrize("layer", LAYERS)
def test_the_browser_computes_what_pytorch_does(page: Page, layer: str) -> None:
    networks, images = made()
    model = network()
    for switch, other in PRETRAINING.items():
        for alpha, digit in ((0.5, 3), (0.26, 8)):
            shown = choose(page, switch, layer, f"Digit {digit}", alpha=alpha)
            (question,) = ctl.pairs(["i", other], [alpha])
            own = ctl.compare(model, networks, [question], [images[digit : digit + 1]])
            every = ctl.compare(model, networks, [question], [images])
            for table, name, metric in (
                (own, "epsilon", "epsilon"),
                (own, "distance", "distance"),
                (every, "all", "epsilon"),
            ):
                rows = table[(table["layer"] == LAYERS[layer]) & (table["metric"] == metric)]
                (expected,) = rows["mean"]
                assert shown[name] == pytest.approx(expected, abs=1e-9), (switch, alpha, name)


def test_both_drawings_are_true_to_scale(page: Page) -> None:
    data = parsed(hero.script(*made(), {}))

    def length(a: str, b: str) -> float:
        return data["lengths"].get(f"{a} {b}") or data["lengths"][f"{b} {a}"]

    def apart(drawing: dict[str, np.ndarray], *pair: str) -> float:
        a, b = (drawing[name] for name in pair)
        return float(np.linalg.norm(a - b))

    sides = {
        "shared pretraining": {("i", "j"), ("PT", "i"), ("PT", "j")},
        "pretrained apart": {("i", "j"), ("PT", "i"), ("own", "j"), ("own", "PT")},
    }
    for switch, pairs in sides.items():
        shown = choose(page, switch, "logits", alpha=0.3)
        weights, features = places(page)
        own = {"own": "PT-apart", "j": PRETRAINING[switch]} if "apart" in switch else {}
        true = {pair: length(*(own.get(name, name) for name in pair)) for pair in pairs}
        scale = apart(weights, "i", "j") / true["i", "j"]
        for pair in pairs:
            assert apart(weights, *pair) == pytest.approx(scale * true[pair], rel=1e-3), pair
        np.testing.assert_allclose(weights["mix"], 0.3 * weights["i"] + 0.7 * weights["j"])
        np.testing.assert_allclose(features["ring"], 0.3 * features["i"] + 0.7 * features["j"])
        plane = {name: np.array(place) for name, place in shown["plane"].items()}
        scale = apart(features, "i", "j") / apart(plane, "i", "j")
        assert apart(features, "ring", "dot") == pytest.approx(scale * apart(plane, "ring", "dot"))
        gap = np.array(shown["whole"]) - np.array(shown["mean"])
        seen = apart(plane, "ring", "dot") / np.linalg.norm(gap)
        assert shown["seen"] == pytest.approx(seen)
        assert 0 < seen <= 1 + 1e-9
        # The error, from the drawing alone: the gap over how far the ends are from the ring.
        drawn = epsilon(
            features["dot"][None], [(0.3, features["i"][None]), (0.7, features["j"][None])]
        )
        assert drawn == pytest.approx(shown["epsilon"] * seen)


def test_the_picture_says_what_is_chosen(page: Page) -> None:
    drawings = page.locator(".hero-picture svg")
    slider = page.get_by_label("α", exact=True)
    before = [places(page), *(drawing.get_attribute("aria-label") for drawing in drawings.all())]
    slider.focus()
    page.keyboard.press("ArrowRight")
    after = [places(page), *(drawing.get_attribute("aria-label") for drawing in drawings.all())]
    for n, moving in enumerate(("mix", "dot")):
        assert not np.allclose(before[0][n][moving], after[0][n][moving])
        assert before[n + 1] != after[n + 1]
    assert slider.get_attribute("aria-valuetext").startswith("α = 0.52, ε = ")
    page.keyboard.press("End")
    assert slider.get_attribute("aria-valuetext") == "α = 1.00, dot and ring are the same"
    np.testing.assert_allclose(places(page)[1]["dot"], places(page)[1]["ring"], atol=1e-6)
    page.keyboard.press("Home")
    assert page.evaluate("window.ctlHero.alpha") == 0
    choose(page, "pretrained apart", "hidden 2", "Digit 7", alpha=0.5)
    words = page.locator("#hero").inner_text()
    assert "Feature space: hidden layer 2" in words
    assert "two random starts" in words
    assert "for this 7" in words
    page.get_by_label("pretrained apart").focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("window.ctlHero.j") == "j"
    assert "two random starts" not in page.locator("#hero").inner_text()


def front(site: Path) -> str:
    return (site / "book" / "index.html").as_uri()


@pytest.mark.slow
def test_the_front_page_opens_with_what_is_usual_and_parts_what_was_pretrained_apart(
    site: Path, browser: Browser
) -> None:
    assert (site / "_static" / "hero-data.js").stat().st_size < 250_000
    page = browser.new_page(reduced_motion="reduce")
    noise = listen(page)
    page.goto(front(site))
    page.wait_for_function("window.ctlHero")
    opening = page.evaluate("window.ctlHero")
    assert opening["epsilon"] == pytest.approx(opening["all"], rel=0.1)
    shared, apart = (choose(page, switch) for switch in PRETRAINING)

    def parted(shown: dict[str, Any]) -> float:
        """Between dot and ring, over the line's length."""
        ring, dot, i, j = (np.array(shown["plane"][name]) for name in ("ring", "dot", "i", "j"))
        return float(np.linalg.norm(ring - dot) / np.linalg.norm(i - j))

    assert parted(apart) > 2 * parted(shared) > 0
    assert not noise
    page.close()


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 600, 1280, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_of_the_picture_is_hidden_or_small(
    site: Path, browser: Browser, width: int, scheme: Any
) -> None:
    page = browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    page.goto(front(site))
    page.wait_for_function("window.ctlHero")
    outside = """() => [...document.querySelectorAll("#hero, #hero *")].filter((element) => {
        const box = element.getBoundingClientRect();
        const frame = element.closest("g[data-at], text") &&
            element.closest("svg").getBoundingClientRect();
        return box.left < (frame?.left ?? 0) || box.right > (frame?.right ?? innerWidth) ||
            (frame && (box.top < frame.top || box.bottom > frame.bottom));
    }).map((element) => element.outerHTML)"""
    for switch in PRETRAINING:
        for layer in LAYERS:
            choose(page, switch, layer)
            assert page.evaluate(outside) == [], (switch, layer)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for target in page.locator("#hero input").all():
        box = target.bounding_box()
        assert min(box["width"], box["height"]) >= 24
    left, right = (picture.bounding_box() for picture in page.locator(".hero-picture").all())
    assert (left["y"] == right["y"]) == (width >= 600)
    page.close()


@pytest.mark.slow
def test_alpha_goes_to_the_middle_once_and_stops_for_a_reader(site: Path, browser: Browser) -> None:
    middle = "Math.abs(window.ctlHero?.alpha - 0.5) < 1e-9"
    page = browser.new_page()
    page.goto(front(site))
    page.wait_for_function("window.ctlHero?.alpha < 0.5")
    page.wait_for_function(middle)
    page.reload()
    page.wait_for_function("window.ctlHero?.alpha < 0.5")
    choose(page, alpha=0.9)
    page.wait_for_timeout(300)
    assert page.evaluate("window.ctlHero.alpha") == 0.9
    page.reload()
    page.wait_for_function("window.ctlHero?.alpha < 0.4")
    page.pdf()
    assert page.evaluate("window.ctlHero.alpha") == 0.5, "a printed page shows the middle"
    page.close()


@pytest.mark.slow
def test_without_scripts_a_still_image_stands_for_the_picture(site: Path, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(front(site))
    image = page.locator("#hero img")
    assert image.evaluate("(image) => image.naturalWidth > 0 && image.offsetWidth > 300")
    assert "JavaScript" in page.locator("#hero p:visible").inner_text()
    context.close()
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(front(site), wait_until="load")
    assert not [url for url in asked if url.endswith("hero.svg")]
    page.close()


def test_places_in_the_still_image_are_as_far_apart_as_weights_and_features() -> None:
    networks, images = made()
    places = hero_still.weights(networks)
    for a, b in combinations(("PT", "i", "j"), 2):
        parts = zip(networks[a].values(), networks[b].values(), strict=True)
        length = sum(float(((x - y) ** 2).sum()) for x, y in parts) ** 0.5
        assert float(torch.dist(places[a], places[b])) == pytest.approx(length)
    assert torch.allclose(places["dot"], (places["i"] + places["j"]) / 2)

    states = {name: networks[name] for name in ("i", "j")}
    table = ctl.measure(
        network(), states, ctl.pairs(["i", "j"], alphas=(0.5,)), [images], ["relu3"]
    ).table()
    asked = float(table.loc[table["metric"] == "epsilon", "mean"].iloc[0])
    places = hero_still.features(networks, images)
    assert torch.allclose(places["ring"], (places["i"] + places["j"]) / 2)
    assert torch.equal(places["path"][0], places["j"])
    assert torch.equal(places["path"][-1], places["i"])
    length = float(torch.dist(places["i"], places["j"]))
    # The plane shows a part of the gap; the image is one that is as linear as all of them.
    assert 0 < 2 * float(torch.dist(places["dot"], places["ring"])) / length < 1.3 * asked


def test_the_still_image_is_the_same_each_time_and_names_all_ends() -> None:
    image = hero_still.draw(*made())
    assert image == hero_still.draw(*made())
    for text in ("Weight space", "Feature space", "θ", "f(θ"):
        assert text in image
