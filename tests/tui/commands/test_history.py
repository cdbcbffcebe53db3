"""`leaderboard --tsv`: another harness's history, without a lab."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tui.commands.command_line import run_command_line

H100 = Path(__file__).parents[2] / "histories" / "h100-mar8.tsv"


@pytest.fixture(autouse=True)
def _outside_any_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_history_is_shown_in_its_order_with_what_it_is_worth(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(("leaderboard", "--tsv", str(H100), "--noise", "0.0002457")) == 0
    out = capfd.readouterr().out
    assert "22 keeps claim +.0282 val_bpb together" in out
    assert "≈ 14 of them inside the noise" in out
    (crash,) = [line for line in out.splitlines() if "\tcrash\t" in line]
    assert crash.startswith("–\t–\t")


def test_as_json(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(("leaderboard", "--tsv", str(H100), "--json")) == 0
    view = json.loads(capfd.readouterr().out)
    assert len(view["rows"]) == 126
    assert [row["rank"] for row in view["rows"] if row["status"] == "crash"] == [None]
    assert not view["noise_stated"]


def test_what_is_no_history_fails_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.tsv").write_text("")
    assert run_command_line(("leaderboard", "--tsv", "empty.tsv")) == 1
    assert len(capfd.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("words", [("--noise", "0.1"), ("--tsv", str(H100), "--noise", "nan")])
def test_noise_that_cannot_be_meant_is_wrong_usage(words: tuple[str, ...]) -> None:
    assert run_command_line(("leaderboard", *words)) == 2
