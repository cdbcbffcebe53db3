"""Launches that come together, and labs that were moved."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sessions.git.repository import Repository
from sessions.git.worktrees import Worktrees
from supervisor.campaign.launch import open_campaign
from supervisor.campaign.options import LaunchOptions
from supervisor.lab.paths import find_lab
from supervisor.snapshot_reader import read_snapshot
from supervisor.store.connection import Store
from tests.worlds.labs import git, make_toy_lab

OPTIONS = LaunchOptions(juniors=1, devices="cpu:0", experiments=2)


def test_of_two_launches_at_once_the_second_joins(tmp_path: Path) -> None:
    lab = make_toy_lab(tmp_path / "lab")
    said: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: open_campaign(lab, OPTIONS, said.append), range(2))
    assert first.tag == second.tag
    snapshot = read_snapshot(lab, Store(lab.db), 1.0)
    assert [one.id for one in snapshot.experiments] == ["e0000"] and len(snapshot.agents) == 2
    assert snapshot.campaign is not None and snapshot.campaign.limits.experiments == 2
    assert "another launch is under way in this lab: waiting for it" in said


def test_a_lab_that_was_moved_goes_on(tmp_path: Path) -> None:
    lab = make_toy_lab(tmp_path / "lab")
    tag = open_campaign(lab, OPTIONS, lambda _: None).tag
    environment = lab.state_dir / "environment"
    environment.mkdir()
    lab.uv_pointer.write_text(f"{environment}\n")
    bench = lab.benches_dir / "cpu-0"
    Worktrees(Repository(lab.root), lab.worktree_lock).reset(bench, "main")
    lab.root.rename(tmp_path / "moved")
    moved = find_lab(tmp_path / "moved")
    said: list[str] = []
    assert open_campaign(moved, OPTIONS, said.append).tag == tag
    assert said == [f"note: 0 of 2 experiments of run {tag} are made"]
    assert moved.uv_environment == moved.state_dir / "environment"
    Worktrees(Repository(moved.root), moved.worktree_lock).reset(moved.benches_dir / "cpu-0", "main")
    assert "X = 8.0" in (moved.benches_dir / "cpu-0" / "train.py").read_text()
    assert git(moved.root, "status", "--porcelain") == ""
