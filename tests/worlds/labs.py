"""Labs for tests: real repositories, with trainings of a second instead of minutes."""

from __future__ import annotations

import subprocess
from pathlib import Path

from supervisor.lab.paths import Lab, find_lab
from supervisor.lab.presets import template_path

# X is what the search steps; the seed moves the score as little as noise does.
TOY_CANVAS = """\
import os, random, time

X = 8.0  # where the score is taken
SECONDS = 0.5  # how long a training takes

random.seed(int(os.environ.get("SEED", "0")))
started = time.time()
while time.time() - started < SECONDS:
    time.sleep(0.02)
print(f"score: {(X - 3.0) ** 2 + 10.0 + random.gauss(0.0, 0.01):.6f}")
"""

TOY_CONFIG = """\
[lab]
editable = ["train.py"]
command = "{python} train.py"
setup = ""
seed_env = "SEED"
budget_s = 5
clock = "wall"
timeout_s = 20

[metric]
name = "score"
direction = "lower"
"""


def git(folder: Path, *arguments: str) -> str:
    """What git prints, run as a person with a name of their own."""
    identity = ("-c", "user.name=person", "-c", "user.email=person@example.org")
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


def make_toy_lab(folder: Path, canvas: str = TOY_CANVAS) -> Lab:
    """A foreign lab: it prints its metric, and a training takes half a second."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "train.py").write_text(canvas)
    (folder / "autoresearch.toml").write_text(TOY_CONFIG)
    (folder / "README.md").write_text("a toy\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "a toy")
    return find_lab(folder)


def make_small_lab(folder: Path, budget_s: float = 0.5, timeout_s: float = 60) -> Lab:
    """Our own layout with the real referee and the real canvas, on a corpus of a few pages."""
    folder.mkdir(parents=True)
    texts = folder.parent / "texts"
    texts.mkdir(exist_ok=True)
    for number in range(60):
        words = " ".join(f"w{(number * 7 + n * n) % 97} åß{n % 13}" for n in range(220))
        (texts / f"page-{number}.txt").write_text(f"{words}\n\n" * 3)
    (folder / "training").mkdir()
    referee = (template_path() / "prepare.py").read_text()
    referee = referee.replace('DATA_SOURCE = "python"', f"DATA_SOURCE = {str(texts)!r}")
    for name, value in (("VOCAB_SIZE", "300"), ("EVAL_TOKENS", "2**11")):
        start = referee.index(f"\n{name} = ") + 1
        end = referee.index("  #", start)
        referee = f"{referee[:start]}{name} = {value}{referee[end:]}"
    (folder / "prepare.py").write_text(referee)
    (folder / "program.md").write_text("Lower val_bpb.\n")
    for name in ("corpus.py", "train.py"):
        (folder / "training" / name).write_text((template_path() / "training" / name).read_text())
    (folder / "autoresearch.toml").write_text(f"[lab]\nbudget_s = {budget_s}\ntimeout_s = {timeout_s}\n")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "a small lab")
    return find_lab(folder)
