"""Batches, the clock, warm-up and the watch on the loss."""

from __future__ import annotations

import math
import random
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

# Burns so many CPU seconds, says so, and lives until it is told something.
BURN = "import time\nwhile time.process_time() < {}: pass\nprint(flush=True)\ninput()"


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_y_is_one_ahead_of_x_and_both_come_from_the_train_split(referee: ModuleType) -> None:
    x, y = next(referee.batches(4))
    assert x.shape == y.shape == (4, 128)
    assert x.dtype == y.dtype == torch.int64
    assert torch.equal(x[:, 1:], y[:, :-1])
    train = referee.this_run().data.train.tobytes()
    for row, ahead in zip(x, y, strict=True):
        assert torch.cat([row, ahead[-1:]]).numpy().astype(np.uint16).tobytes() in train


def test_shorter_training_rows(referee: ModuleType) -> None:
    stream = referee.batches(4, length=16)
    x, _ = next(stream)
    assert x.shape == (4, 16)
    assert stream.tokens == 64


@pytest.mark.parametrize(("rows", "length"), [(0, 128), (4, 0), (4, 10**9)])
def test_batches_of_nothing_are_refused(referee: ModuleType, rows: int, length: int) -> None:
    with pytest.raises(ValueError, match="no batches"):
        referee.batches(rows, length)


def test_the_seed_decides_the_batches(referee: ModuleType) -> None:
    run = referee.this_run()
    first = referee.Batches(run, 4, 128)
    again = referee.Batches(run, 4, 128)
    assert all(torch.equal(next(first)[0], next(again)[0]) for _ in range(3))
    run.assignment = referee.Assignment(seed=2, budget_s=20, clock="cpu", device="cpu")
    assert not torch.equal(next(referee.Batches(run, 4, 128))[0], next(referee.Batches(run, 4, 128))[1])
    assert not torch.equal(next(first)[0], next(referee.Batches(run, 4, 128))[0])


def test_the_seed_decides_the_generators(referee: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTORESEARCH_SEED", "7")
    assert referee.seed == 7
    drawn = random.random(), np.random.rand(), torch.rand(1).item()
    random.seed(7), np.random.seed(7), torch.manual_seed(7)
    assert drawn == (random.random(), np.random.rand(), torch.rand(1).item())


def test_one_training_per_run(referee: ModuleType) -> None:
    referee.batches(1)
    with pytest.raises(referee.RefereeError, match="twice"):
        referee.batches(1)


@pytest.mark.parametrize("clock", ["cpu", "wall"])
def test_the_loop_ends_with_the_budget(
    referee: ModuleType, monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    monkeypatch.setenv("AUTORESEARCH_BUDGET_S", "0.3")
    monkeypatch.setenv("AUTORESEARCH_CLOCK", clock)
    referee.this_run()
    burn(0.3)  # before the first batch: not on the clock
    stream = referee.batches(1)
    began_s = time.process_time() if clock == "cpu" else time.perf_counter()
    fractions = []
    for _ in stream:
        fractions.append(stream.fraction)
        burn(0.01)
    took_s = (time.process_time() if clock == "cpu" else time.perf_counter()) - began_s
    longest_s = (
        stream.training.longest_step_s
    )  # on a shared machine a step is as long as its neighbours let it be
    assert fractions[0] < 0.5
    assert fractions == sorted(fractions)
    assert 1.0 - (longest_s + 0.01) / 0.3 < fractions[-1] < 1.0
    assert stream.fraction == 1.0
    assert 0.29 < took_s < 0.31 + 2 * longest_s
    assert stream.steps == len(fractions) <= 30


def start_burning(seconds: float) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-S", "-c", BURN.format(seconds)]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_cpu_time_of_a_living_child_counts(referee: ModuleType) -> None:
    clock = referee.Clock("cpu")
    began_s, here_s = clock.read(look=True), time.process_time()
    with start_burning(0.3) as child:
        assert child.stdout and child.stdin
        child.stdout.readline()
        alive_s = clock.read(look=True) - began_s - (time.process_time() - here_s)
        assert alive_s >= 0.28
        child.stdin.write(b"\n")
    waited_for_s = clock.read(look=True) - began_s - (time.process_time() - here_s)
    assert alive_s - 0.02 <= waited_for_s < alive_s + 0.2  # neither lost nor counted twice


def test_cpu_time_of_a_grandchild_counts(referee: ModuleType) -> None:
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {BURN.format(0.3)!r}])"
    argv = [sys.executable, "-S", "-c", parent]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout and child.stdin
        child.stdout.readline()
        assert referee.living_children_cpu_s() >= 0.28
        child.stdin.write(b"\n")


def test_the_clock_works_where_there_is_no_proc(referee: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(path: Path) -> Path:
        raise FileNotFoundError(path)

    with start_burning(0.1) as child:
        assert child.stdout and child.stdin
        child.stdout.readline()
        monkeypatch.setattr(referee.Path, "readlink", nowhere)
        assert referee.living_children_cpu_s() == 0.0
        assert referee.Clock("cpu").read(look=True) > 0.0
        child.stdin.write(b"\n")


def test_a_childs_cpu_time_ends_the_loop(referee: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTORESEARCH_BUDGET_S", "1.0")
    stream = referee.batches(1)
    next(stream)
    with start_burning(1.0) as child:
        assert child.stdout and child.stdin
        child.stdout.readline()
        burn(0.3)  # living children are looked for a few times a second
        assert list(stream) == []
        child.stdin.write(b"\n")


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf, 1e4, torch.tensor(math.nan)])
def test_a_loss_that_is_lost_ends_the_run(referee: ModuleType, loss: float | Tensor) -> None:
    next(referee.batches(1))
    with pytest.raises(referee.Diverged, match=r"^diverged: loss is (nan|inf|-inf|10000) at step 1$"):
        referee.watch(loss)


def test_warm_up_leaves_no_trace(referee: ModuleType) -> None:
    referee.this_run()
    model = nn.Sequential(nn.Embedding(referee.vocab_size, 8), nn.Linear(8, referee.vocab_size))
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    before = torch.get_rng_state()
    shapes = []

    def train_step(copy: nn.Module, x: Tensor, y: Tensor) -> None:
        shapes.append(x.shape)
        nn.functional.cross_entropy(copy(x).flatten(0, 1), y.flatten()).backward()
        torch.optim.SGD(copy.parameters(), 1.0).step()

    referee.warm_up(model, train_step, 3)
    assert set(shapes) == {(3, 128)}
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_long_warm_up_is_charged(referee: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(referee, "WARM_UP_CAP_S", 0.1)
    monkeypatch.setenv("AUTORESEARCH_BUDGET_S", "10")

    def step(copy: nn.Module, x: Tensor, y: Tensor) -> None:
        burn(0.1)

    referee.warm_up(nn.Linear(1, 1), step, 1)
    stream = referee.batches(1)
    next(stream)
    assert 0.15 < stream.elapsed_s < 1.0
    with pytest.raises(referee.RefereeError, match="after"):
        referee.warm_up(nn.Linear(1, 1), step, 1)
