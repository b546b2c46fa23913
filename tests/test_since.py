"""What goes with the accuracy that merging loses, and what pages say of a claim in one item."""

from __future__ import annotations

import re

import pytest
from IPython.display import Markdown
from made_verdicts import verdict
from test_findings_boundary import PANEL, plane
from test_findings_interactions import local

from ctl_helpers.findings.boundary import PREDICTORS
from ctl_helpers.findings.finding import MEASURES
from ctl_helpers.findings.sentences import since
from ctl_helpers.results.labels import Scope
from ctl_helpers.site.claim_pages import standing


def test_what_decides_the_loss_ranks_it_and_its_opposite_the_other_way() -> None:
    table = plane(merged=0.1)  # loss is a tenth of ε, which goes with the distance of features
    table = table.assign(moved=1 / (1 + table["apart"]), merged=table["own"] - table["epsilon"])
    ranks = {name: MEASURES["merge_rank"](table, by=name).effect for name in ("apart", "moved")}
    assert ranks == pytest.approx({"apart": 1, "moved": -1})
    assert MEASURES["merge_rank"](table, by="epsilon").effect == pytest.approx(
        MEASURES["loss_rank"](table).effect
    )


def test_the_page_ranks_merges_by_every_variable_and_counts_settings() -> None:
    table = plane().assign(setting="one")
    said = re.sub("<.*?>", "", since.goes_with_loss(table, PANEL))
    assert all(f"| {name} | " in said for name in ("ε", *PREDICTORS.values()))
    assert "| features apart | +1.00 |" in said
    assert "in 1 of 1 setting they go more closely" in since.features_or_weights(table, PANEL)
    turned = table.assign(apart=table["weights_apart"], weights_apart=table["apart"])
    assert "in 0 of 1 setting " in since.features_or_weights(turned, PANEL)


def test_a_layer_alone_is_held_against_the_whole() -> None:
    table = local().assign(setting="one")
    assert "in 1 of 1 setting its ε is the smaller" in since.layer_or_whole(table, PANEL)
    turned = {Scope.ALL: (0.1, 0.1, 0.1), Scope.ALONE: (0.2, 0.2, 0.2)}
    table = local(turned).assign(setting="one")
    assert "in 0 of 1 setting " in since.layer_or_whole(table, PANEL)


def test_an_item_has_settings_by_word_and_the_range_of_the_number() -> None:
    judged = [
        verdict("ctl", "digits-mlp", "partly", 0.6, control=1.5),
        verdict("ctl", "mnist-mlp", "reproduced", 0.2, control=1.0),
        verdict("ctl", "scenes-resnet", "not testable", 9.0, gate="no barrier"),
        verdict("ctl", "small-clip", "not run"),
        verdict("other", "small-clip", "not run"),
    ]
    twice = [verdict("ctl", "digits-mlp", "undecided", section="3"), *judged]
    assert "? undecided in Digits MLP D (3)" in _plain(standing(twice, "ctl"))
    both = _plain(standing(judged, "other", "ctl"))
    assert both.splitlines() == [
        "- The other claim: not run yet.",
        "- The ctl claim: ✓ reproduced in MNIST MLP A; ◐ partly in Digits MLP D; ∅ not testable in "
        "Scenes ResNet D (no barrier). *Error ε of the worst layer*: 0.2 to 0.6; Networks "
        "pretrained apart: 1 to 1.5.",
    ]
    closed = standing(judged[2:3], "ctl").data
    assert closed.endswith("(no barrier).")
    one = standing(judged[:1], "ctl").data
    assert one.endswith("*Error ε of the worst layer*: 0.6; Networks pretrained apart: 1.5.")


def _plain(item: Markdown) -> str:
    return re.sub("<.*?>", "", item.data).replace("\u00a0", " ")
