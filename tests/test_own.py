"""The page on a reader's own checkpoints."""

from __future__ import annotations

from made_verdicts import verdict

from ctl_helpers.site import own


def test_the_example_runs_and_its_networks_merge() -> None:
    printed, report = own.example()
    lines = printed.data.splitlines()
    assert lines[:2] == ["```text", "MERGEABLE (exit code 0)"]
    assert max(map(len, lines)) <= 78
    said = {
        line.split()[0]: float(line.split()[-1]) for line in lines if line.startswith("    BASE")
    }
    mixed = [float(line.split()[-1]) for line in lines if line.startswith("    mix")]
    assert max(mixed) > said["BASE"]
    assert report.data.startswith('<div class="report"><iframe title="')
    assert "&lt;svg" in report.data


def test_settings_stand_by_grade_and_error() -> None:
    judged = [
        verdict("ctl-direction", "digits-mlp", "partly", 0.5),
        verdict("add-direction", "scenes-clip", "reproduced", 0.2),
        verdict("ctl-direction", "mnist-mlp", "partly", 0.45),
        verdict("avg-direction", "small-clip", "not run"),
        verdict("ctl-length", "mnist-mlp", "reproduced", 0.1),
    ]
    lines = own.linearity(judged).data.splitlines()
    rows = [line for line in lines if line.startswith("| ")][2:]
    assert [row.split(" | ")[0] for row in rows] == [
        "| MNIST MLP, A",
        "| Scenes CLIP, D",
        "| Digits MLP, D",
    ]
    assert "| 0.2\N{NO-BREAK SPACE}[0.1,\N{NO-BREAK SPACE}0.3] |" in rows[1]
    assert rows[1].endswith("✓\N{NO-BREAK SPACE}reproduced |")
