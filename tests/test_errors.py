"""Every sentence of the package is on the page of errors, and leads to its place there."""

from __future__ import annotations

import pickle
import re
import sys
from collections import Counter
from collections.abc import Callable
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from conftest import ROOT
from torch import Tensor, nn

import ctl_helpers as ctl
from ctl_helpers import cli, errors
from ctl_helpers.engine.compare import pairs
from ctl_helpers.errors import PAGE, RAISED_IN, kind_of, linked
from ctl_helpers.site import errors as page
from ctl_helpers.site.raised import sentences

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PLACES = [place for places in RAISED_IN.values() for place in places.split()]


def test_every_sentence_of_the_package_has_its_kind() -> None:
    assert len(sentences()) > 250
    assert [
        one for one in sentences() if kind_of(one.module, one.function, one.error) is None
    ] == []


def test_every_place_that_is_named_raises_a_kind_once() -> None:
    assert [place for place, count in Counter(PLACES).items() if count > 1] == []
    deciding = set()
    for one in sentences():
        wing = one.module.partition(".")[0]
        narrow = (f"{one.module}:{one.function}", f"{one.module}:{one.error}")
        deciding.add(next(place for place in (*narrow, one.module, wing) if place in PLACES))
    assert sorted(set(PLACES) - deciding) == []


def test_the_page_explains_every_kind_with_its_sentences() -> None:
    kinds, text = page.load(), page.kinds().data
    assert kinds.keys() == RAISED_IN.keys()
    for anchor, kind in kinds.items():
        assert f"({anchor})=\n## {kind.title}\n" in text
        assert all(part in text for part in (kind.symptom, kind.cause, kind.fix))
        assert page.words(anchor)
    assert {one.words for one in sentences()} == {
        words for anchor in kinds for words in page.words(anchor)
    }
    assert all(f"\n- `` {one.words} ``\n" in text for one in sentences())
    assert f"      - file: {Path(PAGE).with_suffix('')}\n" in (ROOT / "_toc.yml").read_text("utf-8")


def test_sentences_have_gaps_for_values_alone() -> None:
    words = {one.words for one in sentences()}
    # An f-string; a text made by another function; a constant of the module; an error made so.
    assert "layer … did not run in the forward pass; choose layers that do" in words
    assert any(one.startswith("memory ran out, and the batch cannot be split") for one in words)
    assert any(one.startswith("there is no adapter_config.json in …, which") for one in words)
    assert "… is damaged or incomplete (…): fetch it again" in words


Call = Callable[[nn.Module, dict[str, dict[str, Tensor]], Tensor], object]
CALLS: dict[str, Call] = {
    "arguments": lambda net, states, x: ctl.pairs(["a", "a"], 0.5),
    "names": lambda net, states, x: ctl.compare(net, states, ctl.pairs("ax", 0.5), [x]),
    "checkpoints": lambda net, states, x: ctl.combine(states | {"b": {}}, {"a": 1, "b": 1}),
    "layers": lambda net, states, x: ctl.compare(net, states, ctl.pairs("ab", 0.5), [x], "9"),
    "batches": lambda net, states, x: ctl.compare(net, states, ctl.pairs("ab", 0.5), x),
    "targets": lambda net, states, x: ctl.evaluate(net, states, ctl.path("a", "b", 0.5), [x]),
    "device": lambda net, states, x: ctl.logits(net, states, [{"a": 1.0}], [x], device="gpu"),
    "files": lambda net, states, x: ctl.read("nowhere.safetensors"),
}
END = rf" \({re.escape(PAGE)}#([a-z-]+)\)['\"]?$"


def kind_at_the_end(error: BaseException) -> str:
    """The kind that a sentence leads to; no other place is in it."""
    assert str(error).count(PAGE) == 1, error
    match = re.search(END, str(error))
    assert match, error
    return match[1]


@pytest.mark.parametrize("kind", CALLS)
def test_a_sentence_ends_with_its_place(
    kind: str, net: nn.Module, around: Callable[..., Any], inputs: Callable[..., Tensor]
) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, RuntimeError)) as caught:
        CALLS[kind](net, around(net, "ab"), inputs(3))
    assert kind_at_the_end(caught.value) == kind


def test_a_sentence_made_from_another_leads_where_that_does(
    net: nn.Module, around: Callable[..., Any], inputs: Callable[..., Tensor]
) -> None:
    states = around(net, "a") | {"b": "nowhere.safetensors"}
    with pytest.raises(RuntimeError, match=r"checkpoint 'b': there is no weight file") as caught:
        ctl.compare(net, states, ctl.pairs("ab", 0.5), [inputs(3)])
    assert kind_at_the_end(caught.value) == "files"


def test_taps_lead_there_while_they_are_open(inputs: Callable[..., Tensor]) -> None:
    twice = nn.Sequential(layer := nn.Linear(6, 6).double(), layer)
    with pytest.raises(KeyError) as caught, ctl.taps(twice, "2"):
        pass
    assert kind_at_the_end(caught.value) == "layers"
    with pytest.raises(RuntimeError, match="ran twice") as again, ctl.taps(twice, "0"):
        twice(inputs(3))
    assert kind_at_the_end(again.value) == "layers"
    with ctl.taps(twice, "") as seen:
        twice(inputs(3))
    assert list(seen) == [""]


def test_what_others_raise_is_left_alone(
    net: nn.Module, around: Callable[..., Any], inputs: Callable[..., Tensor]
) -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2") as caught:
        ctl.compare(net, around(net, "ab"), ctl.pairs("ab", 0.5), [inputs(4)[:, :2]], ["1"])
    assert PAGE not in str(caught.value)

    class Own(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            try:
                pairs(["a", "a"], 0.5)
            except ValueError as error:
                raise ValueError("no such thing") from error
            return x

    with pytest.raises(ValueError, match=r"no such thing$"):
        ctl.compare(Own(), {"a": {}, "b": {}}, ctl.pairs("ab", 0.5), [inputs(4)], [""])
    with pytest.raises(AttributeError, match=r"attribute 'nothing'$"):
        linked(lambda: pairs("ab", 0.5).nothing)()


def test_a_place_is_told_without_the_source_and_only_where_something_is_raised() -> None:
    """As in a package that was installed as bytecode."""
    space: dict[str, Any] = {"__name__": "ctl_helpers.engine.hooks"}
    code = "def refuse(): raise ValueError('two words')\ndef fail(): raise ValueError(int('x'))"
    exec(compile(code, "<nowhere>", "exec"), space)
    with pytest.raises(ValueError, match="two words") as caught:
        linked(space["refuse"])()
    assert kind_at_the_end(caught.value) == "layers"
    with pytest.raises(ValueError, match=r"literal for int\(\) with base 10: 'x'$"):
        linked(space["fail"])()


def test_public_functions_keep_their_names_and_are_made_once() -> None:
    assert ctl.pairs is ctl.pairs
    assert ctl.pairs.__wrapped__ is pairs
    assert (ctl.pairs.__name__, ctl.pairs.__doc__) == (pairs.__name__, pairs.__doc__)
    assert pickle.loads(pickle.dumps(ctl.pairs)) is ctl.pairs
    assert isinstance(ctl.Comparison, type)
    with pytest.raises(AttributeError, match="nothing"):
        ctl.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("urls", "site"),
    [
        (
            ["Repository, https://a.example", "Documentation, https://b.example/"],
            "https://b.example/",
        ),
        (["Repository, https://a.example"], ""),
        (None, ""),
    ],
)
def test_a_published_book_gives_a_full_address(
    urls: list[str] | None, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def about(name: str) -> Message:
        if urls is None:
            raise metadata.PackageNotFoundError(name)
        message = Message()
        for url in urls:
            message["Project-URL"] = url
        return message

    monkeypatch.setattr(metadata, "metadata", about)
    errors._site.cache_clear()
    try:
        with pytest.raises(ValueError, match=rf"once \({re.escape(site + PAGE)}#arguments\)$"):
            ctl.pairs(["a", "a"], 0.5)
    finally:
        errors._site.cache_clear()


def test_the_command_and_the_probe_lead_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ctl", "run", "--setting", "nowhere"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().out.endswith(f" ({PAGE}#book)\n")
    torch.save([1, 2], tmp_path / "a.pt")
    torch.save({"w": torch.ones(2)}, tmp_path / "b.pt")
    report = ctl.probe(str(tmp_path / "b.pt"), str(tmp_path / "a.pt"))
    (advice,) = [one for one in report.verdict.advice if "a.pt" in one or PAGE in one]
    assert advice.endswith(f"({PAGE}#files)")
    net = nn.Linear(2, 2)
    near = {name: 1.01 * value for name, value in net.state_dict().items()}
    (remark,) = [one for one in ctl.probe(net, near).remarks if one.rule == "run"]
    assert remark.remedy.endswith(f" ({PAGE}#probe)")
    with pytest.raises(KeyError) as caught:
        report.table("nowhere")
    assert kind_at_the_end(caught.value) == "names"


@pytest.mark.slow
def test_links_reach_every_kind_and_a_search_finds_sentences(site: Path, browser: Browser) -> None:
    built = browser.new_page()
    for anchor in page.load():
        built.goto(f"{(site / PAGE).as_uri()}#{anchor}")
        assert built.locator(f"#{anchor}").count() == 1
    listed = built.locator("details li code").all_text_contents()
    assert {one.words for one in sentences()} <= set(map(str.strip, listed))
