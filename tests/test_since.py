"""What goes with the accuracy that merging loses, and what pages say of a claim in one item."""

from __future__ import annotations

import re

import pytest
from made_verdicts import verdict
from test_findings_boundary import PANEL, plane

from ctl_helpers.findings.boundary import PREDICTORS
from ctl_helpers.findings.finding import MEASURES
from ctl_helpers.findings.sentences import since
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
    assert said.endswith("than the distance of weights in 1 of 1 settings.")
    turned = table.assign(apart=table["weights_apart"], weights_apart=table["apart"])
    assert since.goes_with_loss(turned, PANEL).endswith("in 0 of 1 settings.")


def test_an_item_has_settings_by_word_and_the_range_of_the_number() -> None:
    judged = [
        verdict("ctl", "digits-mlp", "partly", 0.6, control=1.5),
        verdict("ctl", "mnist-mlp", "reproduced", 0.2, control=1.0),
        verdict("ctl", "scenes-resnet", "not testable", 9.0, gate="no barrier"),
        verdict("ctl", "small-clip", "not run"),
        verdict("other", "small-clip", "not run"),
    ]
    both = re.sub("<.*?>", "", standing(judged, "other", "ctl").data).replace("\u00a0", " ")
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
