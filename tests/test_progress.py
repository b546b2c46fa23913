"""The bar of a long run: it counts every pass, and changes neither numbers nor model."""

from __future__ import annotations

import io
import re
import sys

import pandas as pd
import pytest
import torch

import ctl_helpers as ctl
from ctl_helpers.models.llama import small_llama


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


def last_count(written: str) -> str:
    return re.findall(r"(\d+/\S+|\d+) \[", written)[-1]


def test_a_bar_counts_passes(net, around, inputs, capsys: pytest.CaptureFixture[str]) -> None:
    states, asked = around(net, "abc"), ctl.pairs("abc", [0.25, 0.5])
    arguments = (net, states, asked, inputs(20).split(8), ["1", "4"])
    plain = ctl.compare(*arguments)
    assert capsys.readouterr().err == ""  # which is no terminal
    shown = ctl.compare(*arguments, progress=True)
    # Three checkpoints and six mixes of them, each over three batches.
    assert last_count(capsys.readouterr().err) == "27/27"
    pd.testing.assert_frame_equal(plain, shown)
    assert not net._forward_hooks
    scored = [(x, torch.zeros(len(x), dtype=torch.long)) for x in inputs(20).split(8)]
    ctl.evaluate(net, states, ctl.path("a", "b", [0, 0.5]), scored, progress=True)
    assert last_count(capsys.readouterr().err) == "6/6"


def test_a_stream_without_a_length_has_a_count_alone(net, around, inputs, capsys) -> None:
    asked = ctl.pairs("ab", [0.5])
    batches = (part for part in inputs(9).split(3))
    ctl.compare(net, around(net, "ab"), asked, batches, ["1"], progress=True)
    assert last_count(capsys.readouterr().err) == "9"


def test_by_default_a_terminal_sees_a_bar_of_long_runs_alone(
    net, around, inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (net, around(net, "ab"), ctl.pairs("ab", [0.5]), [inputs(9)], ["1"])
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    ctl.compare(*arguments)
    assert terminal.getvalue() == ""
    monkeypatch.setattr("ctl_helpers.engine.progress._PATIENCE", 0.0)
    ctl.compare(*arguments, progress=False)
    assert terminal.getvalue() == ""
    ctl.compare(*arguments)
    assert last_count(terminal.getvalue()) in ("0/3", "3/3")
    assert terminal.getvalue().endswith("\r")  # and it goes when the run is done


@pytest.mark.parametrize("stream", [False, True])
def test_a_network_of_stages_counts_them_either_way(stream: bool, around, capsys) -> None:
    torch.manual_seed(0)
    sizes = {"vocabulary": 9, "width": 8, "inner": 8, "layers": 2, "heads": 2, "positions": 9}
    model, ids = small_llama(**sizes), torch.randint(2, 9, (4, 3))
    batches = [
        {"input_ids": part, "attention_mask": torch.ones_like(part)} for part in ids.split(2)
    ]
    asked, layers = ctl.pairs("ab", [0.5]), [*model.feature_layers, *model.norm_layers]
    ctl.compare(model, around(model, "ab"), asked, batches, layers, stream=stream, progress=True)
    # Three mixes, two batches; the embedding, two blocks and a norm are stages.
    assert last_count(capsys.readouterr().err) == ("24/24" if stream else "6/6")
