"""The referee: what is measured, by which clock, on which text. Nobody edits it during a run.

    python prepare.py [--source climbmix:4]   prepare the data, or mend it; stopped, it goes on where it was

The canvas (training/train.py) sees a run in this order:

    prepare.seed, .device, .vocab_size, .sequence_length     what this run was given
    prepare.warm_up(model, train_step, batch_size)           optional: compile off the clock
    for x, y in (stream := prepare.batches(batch_size)):     the clock: first batch to end of budget
        prepare.watch(loss)                                  every few steps; stream.fraction for schedules
    prepare.finish(model)                                    probes, val_bpb, the one report

The evaluation calls `logits = model(x)`, x int64 [B, T], logits [B, T, vocab_size]; targets are never handed
over. Two sides, with only tensors and numbers passing between them, so that a wall can stand there:

    Run, Clock, Training, Evaluation, Probes, Data    hold tokens, targets, clock and report; see no model
    Batches, score, and what is listed above          hold the model; see no target, and keep no time
"""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import json
import math
import os
import platform
import random
import resource
import shlex
import socket
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - as everybody writes it
from torch import Tensor, nn

# ---- What is measured: a change here makes a new setting, whose scores are not ranked with older ones ----

# "python", the standard library's own source; a name of HUB_SOURCES, "climbmix:20" for so many training
# shards; or the path of a text or parquet file, or of a folder of them.
DATA_SOURCE = "python"
VOCAB_SIZE = 2048  # at most 65536: the last id is BOS, the others are byte-level BPE
MAX_SEQ_LEN = 128  # context length of the evaluation, and of training batches that ask for no other
EVAL_TOKENS = 2**16  # scored tokens, about 200 kB of text: the same ones, in the same windows
VAL_PERCENT, HOLDOUT_PERCENT = 8, 8  # of the documents
CHUNK_CHARS = 2048  # documents are cut into chunks of at most this, 0: never; BOS stands before each
SECTION_CHARS = 2**16  # a single file is cut into sections of this, so that every split gets some
TOKENIZER_CHARS = 2**26  # the tokenizer learns from this much training text at most
DATA_FORMAT = 2  # goes up when training/corpus.py would write other bytes for the same text

# Karpathy's data sets on the Hugging Face hub, and how many shards are trained on where no number is named.
HUB_SOURCES = {"climbmix": ("climbmix-400b-shuffle", 10), "tinystories": ("tinystories-gpt4-clean", 1)}

BY_HAND_SEED = 1337
BY_HAND_BUDGET_S = {"cpu": 20.0, "wall": 300.0}  # by clock
SMOKE_BATCHES = 8
WARM_UP_CAP_S = 120.0  # what warm_up takes beyond this comes out of the budget
EXPLODED_LOSS = 100.0  # nats per token; a uniform guess costs ln(VOCAB_SIZE), about 7.6
BOS = VOCAB_SIZE - 1
IMPORTED_AT_S = time.perf_counter()
vocab_size, sequence_length = VOCAB_SIZE, MAX_SEQ_LEN
seed: int  # this and `device` are there from the first time they are asked for: see __getattr__
device: str  # "cpu", "cuda:0", "mps": where the batches are
TokenArray = np.ndarray[Any, np.dtype[np.uint16]]


class RefereeError(Exception):
    """Ends the run with one line and no traceback."""


class DataError(RefereeError):
    """The data is missing, damaged or cannot be made; the text says what to do."""


class Diverged(RefereeError):  # noqa: N818 - it names what happened
    """The loss or the logits are no longer worth going on with."""


class Rejected(RefereeError):  # noqa: N818 - it names the verdict
    """The number would not mean what it should: a probe said no, or the clock was overrun."""


# ---- The run and its report: what it was given, and what is said about it --------------------------------


@dataclass(frozen=True)
class Assignment:
    """What a run was given, by the runner or by hand."""

    seed: int
    budget_s: float
    clock: str  # "cpu" or "wall"
    device: str
    smoke: bool = False  # a few batches and a short evaluation: does it work at all?
    holdout: bool = False  # the runner has the sealed holdout, and wants to know that score too

    def __post_init__(self) -> None:
        if self.clock not in BY_HAND_BUDGET_S or not 0 < self.budget_s < math.inf:
            raise ValueError(f"a budget of {self.budget_s} s of {self.clock!r} time")

    @staticmethod
    def by_hand() -> Assignment:
        """From AUTORESEARCH_SEED, _BUDGET_S, _CLOCK, _DEVICE and _SMOKE, or the defaults."""
        gpu = "cuda:0" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else ""
        on = os.environ.get("AUTORESEARCH_DEVICE") or gpu or "cpu"
        clock = os.environ.get("AUTORESEARCH_CLOCK") or ("cpu" if on.startswith("cpu") else "wall")
        budget_s = float(os.environ.get("AUTORESEARCH_BUDGET_S") or BY_HAND_BUDGET_S.get(clock, 0.0))
        seed = int(os.environ.get("AUTORESEARCH_SEED") or BY_HAND_SEED)
        return Assignment(seed, budget_s, clock, on, smoke=bool(os.environ.get("AUTORESEARCH_SMOKE")))


class Channel:
    """The socket to the runner. By hand there is none, and nothing is sent."""

    def __init__(self) -> None:
        # Taken out of the environment: what the canvas starts is no referee.
        descriptor = os.environ.pop("AUTORESEARCH_CHANNEL", None)
        self.socket = socket.socket(fileno=int(descriptor)) if descriptor else None
        self.owner, self.over = os.getpid(), False  # over: a last word was sent, and nothing after it counts
        if self.socket:
            self.socket.set_inheritable(False)
            self.socket.settimeout(30.0)
            self.incoming = self.socket.makefile("rb")

    def receive(self) -> Assignment:
        """What this run was given: by the runner, or by hand."""
        try:
            if not self.socket:
                return Assignment.by_hand()
            given = json.loads(self.incoming.readline())
            numbers = int(given["seed"]), float(given["budget_s"])
            words = str(given["clock"]), str(given["device"])
            return Assignment(*numbers, *words, bool(given["smoke"]), bool(given.get("holdout")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            whose = "from the runner" if self.socket else "in the AUTORESEARCH_ variables"
            raise RefereeError(f"no assignment {whose}: {error}") from error

    def receive_holdout(self) -> TokenArray:
        """The sealed tokens: the runner answers the phase with a line `{"tokens": n}` and n little-endian uint16."""
        self.send("phase", phase="holdout")
        size = 2 * int(json.loads(self.incoming.readline())["tokens"])
        return np.frombuffer(self.incoming.read(size), "<u2").astype(np.uint16)

    def send(self, event: str, **fields: object) -> None:
        """One event. A runner that is gone takes the run with it."""
        if not self.socket or self.over or os.getpid() != self.owner:
            return
        self.over = event in ("report", "rejected", "crash")
        try:
            self.socket.sendall(json.dumps({"event": event, **fields}).encode() + b"\n")
        except OSError as error:
            raise SystemExit(f"referee: the runner is gone ({error})") from error


class Run:
    """The one run of this process: its data, clock and channel, and in the end its report."""

    def __init__(self) -> None:
        self.channel = Channel()
        sys.excepthook = self._end_with
        self.assignment = given = self.channel.receive()
        self.device = "cpu" if given.device.startswith("cpu") else given.device  # "cpu:0" is a lab's core
        set_up_device(self.device)
        self.data, self.clock = open_data(), Clock(given.clock)
        self.charged_s, self.evaluated_bytes = 0.0, 0  # charged: of the budget, for a long warm-up
        self.training: Training | None = None
        self.unread_loss: Tensor | float | None = None
        self.loss: float | None = None
        self.report: dict[str, Any] = {}
        random.seed(given.seed)
        np.random.seed(given.seed % 2**32)
        torch.manual_seed(given.seed)
        by = "from the runner" if self.channel.socket else "by hand; AUTORESEARCH_SEED, _BUDGET_S change it"
        budget = f"{given.budget_s:g} s of {given.clock} time on {given.device}{', smoke' * given.smoke}"
        print(f"referee: seed {given.seed}, {budget} ({by}), data {self.data.fingerprint}", flush=True)

    def refuse(self, error: RefereeError) -> RefereeError:
        """The error, told to the runner at once: a canvas that catches it hides nothing."""
        self.channel.send("rejected" if isinstance(error, Rejected) else "crash", reason=str(error))
        return error

    def _end_with(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if isinstance(error, RefereeError):  # of anything else the runner finds the reason in the log
            print(f"{'rejected' if isinstance(error, Rejected) else 'crash'}: {error}", file=sys.stderr)
            self.refuse(error)
        else:
            sys.__excepthook__(kind, error, trace)

    @contextlib.contextmanager
    def warming_up(self) -> Iterator[None]:
        """What is done inside is off the clock, up to WARM_UP_CAP_S."""
        if self.training is not None:
            raise RefereeError("prepare.warm_up was called after prepare.batches")
        self.channel.send("phase", phase="warm-up")
        began_s = self.clock.read(look=True)
        yield
        self.charged_s += max(0.0, self.clock.read(look=True) - began_s - WARM_UP_CAP_S)
        self.channel.send("phase", phase="starting")  # what is computed from here on was not for compiling

    def read_loss(self) -> None:
        """Take in the latest loss. Raises Diverged."""
        if self.unread_loss is None or self.training is None:
            return
        loss, self.unread_loss = float(self.unread_loss), None
        if not abs(loss) < EXPLODED_LOSS:  # as NaN is not, either
            raise self.refuse(Diverged(f"diverged: loss is {loss:g} at step {self.training.steps}"))
        self.loss = loss

    def end_training(self) -> None:
        """Stop the clock: what came after the last batch counts too. Raises Rejected when it was overrun."""
        training, given = self.training, self.assignment
        if training is None or training.steps == 0:
            raise RefereeError("prepare.finish was called before the first batch of prepare.batches")
        training_s = self.clock.read(look=True) - training.began_s
        self.read_loss()
        self.report = {"steps": training.steps, "tokens": training.tokens, "training_s": training_s}
        self.channel.send("phase", phase="evaluating", **self.report)
        last_step_s = min(training.longest_step_s, given.budget_s / 10) + 0.5  # a last step has to end
        if training_s > given.budget_s + last_step_s and not given.smoke:
            reason = f"clock: trained {training_s:.1f} s on a budget of {given.budget_s:g} s"
            raise self.refuse(Rejected(reason))

    def write_report(self, val_bpb: float, facts: dict[str, Any], extras: dict[str, float]) -> None:
        """Complete the report, with `facts` of the model's process, and print it for people and scripts."""
        given, fingerprint = self.assignment, self.data.fingerprint
        self.report |= {"metric": "val_bpb", "value": val_bpb, "seed": given.seed, "budget_s": given.budget_s}
        self.report |= {"clock": given.clock, "data_fingerprint": fingerprint, "extras": extras} | facts
        self.report |= {"evaluated_bytes": self.evaluated_bytes, "holdout": None}
        lines = extras | {
            "val_bpb": f"{val_bpb:.6f}",
            "training_seconds": f"{self.report['training_s']:.1f}",
            "total_seconds": f"{time.perf_counter() - IMPORTED_AT_S:.1f}",
            "peak_vram_mb": f"{facts['peak_vram_mb']:.1f}",
            "peak_memory_mb": f"{facts['peak_memory_mb']:.1f}",
            "total_tokens_M": f"{self.report['tokens'] / 1e6:.3f}",
            "num_steps": self.report["steps"],
            "num_params_M": f"{facts['parameters'] / 1e6:.3f}",
            "seed": given.seed,
            "budget": f"{given.budget_s:g} s {given.clock}",
            "data": fingerprint,
        }
        print("---", *(f"{name + ':':18}{value}" for name, value in lines.items()), sep="\n", flush=True)


def set_up_device(name: str) -> None:
    """One thread on a CPU, for a slot is one core; the current one of several GPUs. Raises RefereeError."""
    try:
        torch.zeros(1, device=name)
    except Exception as error:  # torch has no common one for "no such device"
        raise RefereeError(f"device {name!r} cannot be used: {str(error).splitlines()[0]}") from error
    if name == "cpu":
        torch.set_num_threads(1)
    elif name.startswith("cuda"):
        torch.cuda.set_device(name)


# The run of this process; the first call takes the assignment, checks the data and seeds everything.
this_run = functools.cache(Run)


def finish(model: nn.Module, **extras: float) -> float:
    """Stop the clock, evaluate, print the one report and send it; returns val_bpb. `extras` decide nothing."""
    run = this_run()
    synchronize(run.device)
    run.end_training()
    val_bpb = evaluate_bpb(model)
    on_cuda, memory = run.device.startswith("cuda"), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    facts = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "peak_memory_mb": memory / (2**20 if sys.platform == "darwin" else 2**10),
        "peak_vram_mb": torch.cuda.max_memory_allocated(run.device) / 2**20 if on_cuda else 0.0,
    }
    run.write_report(val_bpb, facts, extras)
    if run.assignment.holdout and not run.assignment.smoke:  # last: from here on the runner keeps no output
        run.report["holdout"], _ = score(model, Evaluation(run, "holdout"))
    run.channel.send("report", **run.report)
    return val_bpb


def __getattr__(name: str) -> int | str:
    if name not in ("seed", "device"):
        raise AttributeError(f"module 'prepare' has no attribute {name!r}")
    return this_run().assignment.seed if name == "seed" else this_run().device


# ---- The clock: the loop that is the clock, and what stands beside it ------------------------------------


class Clock:
    """Seconds of wall time, or of CPU time over this process and everything below it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.look_again_at_s = self.living_s = self.reaped_s = self.latest_s = 0.0

    def read(self, look: bool = False) -> float:
        """Never runs backwards. Living children are looked for a few times a second, or at once to `look`."""
        now_s = time.perf_counter()
        if self.kind == "wall":
            return now_s
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        reaped_s = usage.ru_utime + usage.ru_stime  # of those that were waited for
        if look or now_s >= self.look_again_at_s or reaped_s != self.reaped_s:
            self.reaped_s, self.living_s = reaped_s, living_children_cpu_s()
            # At most 1 % of the time goes into looking.
            self.look_again_at_s = now_s + max(0.25, 100 * (time.perf_counter() - now_s))
        self.latest_s = max(self.latest_s, time.process_time() + reaped_s + self.living_s)
        return self.latest_s


def living_children_cpu_s() -> float:
    """CPU seconds of all living descendants and of what they waited for; 0 where there is no /proc."""
    ticks, children = dict[int, int](), dict[int, list[int]]()
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # only looks; raises without children
        # Not os.getpid(): /proc may belong to another PID namespace and know this process by another number.
        this = int(Path("/proc/self").readlink().name)
        for process in (entry.name for entry in os.scandir("/proc") if entry.name.isdigit()):
            with contextlib.suppress(OSError), open(f"/proc/{process}/stat", "rb") as file:  # noqa: PTH123 - fast
                fields = file.read().rpartition(b")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(process))
                ticks[int(process)] = sum(map(int, fields[11:15]))
    except (OSError, AttributeError, ValueError, IndexError):
        return 0.0
    below = children.get(this, [])
    for child in below:  # grows while it is walked
        below += children.get(child, [])
    return sum(ticks[child] for child in below) / os.sysconf("SC_CLK_TCK")


class Training:
    """The referee's side of `batches`: which tokens come next, and whether there is budget left for them."""

    def __init__(self, run: Run, batch_size: int, length: int) -> None:
        if batch_size < 1 or not 1 <= length < len(run.data.train):
            raise ValueError(f"there are no batches of {batch_size} rows of {length} tokens")
        self._run, self._rows, self._length = run, batch_size, length
        self._random = np.random.default_rng(run.assignment.seed)
        self.began_s = self._told_at_s = 0.0
        self.steps, self.tokens = 0, 0  # handed over
        self.elapsed_s = self.longest_step_s = 0.0  # of the budget, up to the latest batch

    @property
    def fraction(self) -> float:
        """Of the budget, 0 to 1."""
        given = self._run.assignment
        return min(self.steps / SMOKE_BATCHES if given.smoke else self.elapsed_s / given.budget_s, 1.0)

    def draw(self) -> Tensor:
        """Rows from anywhere in the training text, int64 [batch_size, T + 1]; the first draw starts the clock."""
        run, train = self._run, self._run.data.train
        if self.steps == 0:
            run.channel.send("phase", phase="training")
            self.began_s = run.clock.read(look=True) - run.charged_s
        starts = self._random.integers(0, len(train) - self._length, self._rows)
        return torch.from_numpy(train[starts[:, None] + np.arange(self._length + 1)].astype(np.int64))

    def hand_over(self) -> bool:
        """Whether there is budget for the batch that was drawn; if so, it is counted."""
        earlier_s, self.elapsed_s = self.elapsed_s, self._run.clock.read() - self.began_s
        self.longest_step_s = max(self.longest_step_s, self.elapsed_s - earlier_s)
        if self.fraction >= 1.0:
            return False
        run, now_s = self._run, time.perf_counter()
        if self.steps > 0 and now_s - self._told_at_s >= 0.5:
            self._told_at_s = now_s
            run.read_loss()
            place = {"fraction": self.fraction, "elapsed_s": self.elapsed_s, "step": self.steps}
            speed = self.tokens / max(self.elapsed_s, 1e-9)
            run.channel.send("progress", **place, loss=run.loss, tokens_per_s=speed)
        self.steps, self.tokens = self.steps + 1, self.tokens + self._rows * self._length
        return True


class Batches:
    """Training batches until the budget is spent: x and y, int64 [batch_size, T], y one token ahead of x."""

    def __init__(self, run: Run, batch_size: int, length: int) -> None:
        self.training = Training(run, batch_size, length)
        self._device = run.device
        self._queued: torch.cuda.Event | None = None
        self.steps, self.tokens, self.elapsed_s, self.fraction = 0, 0, 0.0, 0.0  # up to the latest batch

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        training = self.training
        if training.steps == 0:
            synchronize(self._device)
        pair = self._draw()
        self._keep_pace()
        is_in_budget = training.hand_over()
        self.steps, self.tokens = training.steps, training.tokens
        self.elapsed_s, self.fraction = training.elapsed_s, training.fraction
        if not is_in_budget:
            raise StopIteration
        return pair

    def _draw(self) -> tuple[Tensor, Tensor]:
        window, on = self.training.draw(), self._device
        window = (window.pin_memory() if on.startswith("cuda") else window).to(on, non_blocking=True)
        return window[:, :-1].contiguous(), window[:, 1:].contiguous()

    def _keep_pace(self) -> None:
        # One step may wait in the GPU's queue while the next is drawn. With more, the clock ends too early.
        if self._device.startswith("cuda"):
            earlier, self._queued = self._queued, torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._queued.record()
            if earlier:
                earlier.synchronize()
        else:
            synchronize(self._device)


def batches(batch_size: int, length: int = MAX_SEQ_LEN) -> Batches:
    """The training batches of this run. One training per run: a second call is refused."""
    run = this_run()
    if run.training is not None:
        raise RefereeError("prepare.batches was called twice: there is one training per run")
    stream = Batches(run, batch_size, length)
    run.training = stream.training
    return stream


def watch(loss: float | Tensor) -> None:
    """Show the referee a loss (mean nats per token). Raises Diverged when it is not worth going on."""
    run = this_run()
    run.unread_loss = loss.detach() if isinstance(loss, Tensor) else loss
    # Reading it from a GPU waits for the GPU: that is done twice a second and at the end.
    if not isinstance(loss, Tensor) or loss.device.type == "cpu":
        run.read_loss()


def warm_up(model: nn.Module, train_step: Callable[..., object], batch_size: int) -> None:
    """Compile off the clock: `train_step(copy, x, y)` on random tokens and a copy of the model, thrown away.

    An optimizer that the step uses is its own, made for the copy. Random state is as before afterwards.
    """
    run = this_run()
    with run.warming_up(), random_state_kept(run.device):
        throwaway = copy.deepcopy(model)
        for _ in range(3):
            window = torch.randint(BOS, (batch_size, MAX_SEQ_LEN + 1)).to(run.device)
            train_step(throwaway, window[:, :-1].contiguous(), window[:, 1:].contiguous())
        synchronize(run.device)


def synchronize(on: str) -> None:
    """Wait until the device has done what it was told."""
    if on.startswith("cuda"):
        torch.cuda.synchronize(on)
    elif on == "mps":
        torch.mps.synchronize()


@contextlib.contextmanager
def random_state_kept(on: str) -> Iterator[None]:
    """Whatever is drawn inside, the generators of python, numpy and torch are as before afterwards."""
    pythons, numpys = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng([on] if on.startswith("cuda") else []):
            yield
    finally:
        random.setstate(pythons)
        np.random.set_state(numpys)


# ---- Evaluation: bits per byte of unseen text, and the probes that say whether it means that -------------

PROBED_ROWS, PLACES = 32, 16  # rows, or a quarter of them; positions of each that are compared
TOLERANCE, ROUNDED_TOLERANCE = (
    0.001,
    0.01,
)  # share of the probability that may move: on a CPU in fp32, elsewhere
WORSE, WORSE_SDS = (
    0.03,
    5.0,
)  # what probed rows may cost more: as a share of the others' nats, in standard errors


class Evaluation:
    """The referee's side of an evaluation: it asks with tokens, takes logits, and keeps the targets.

    Among the rows that are scored, in an order that nobody knows and in batches of one shape, some are asked
    again: as they are, and with another future. Nothing tells a model which row it is asked, or why.
    """

    def __init__(self, run: Run, split: str) -> None:
        tokens = run.data.val if split == "val" else run.channel.receive_holdout()
        self.device, self.windows = run.device, evaluation_windows(tokens)
        self._token_bytes = run.data.token_bytes

    def ask_all(self, ask: Callable[[Tensor], Tensor], is_fp32: bool) -> None:
        """Put every row to the model: `ask` takes x and gives the logits for it. Raises Rejected."""
        on, at_once = self.device, rows_at_once(self.device)
        self._probes = probes = Probes(self.windows[:, :-1], exact=on == "cpu" and is_fp32)
        asked = torch.cat([self.windows, F.pad(probes.x, (0, 1))]).to(on)
        token_bytes = self._token_bytes.to(on)
        order = torch.randperm(len(asked), generator=probes.dice)
        order = torch.cat([order, order[: -len(order) % at_once]])  # the last batch is as large as the others
        sums_on = "cpu" if on == "mps" else on  # MPS has no fp64
        nats = torch.zeros(len(asked), dtype=torch.float64, device=sums_on)
        first = asked[order[:at_once].to(on), :-1].long()
        at_first = ask(first).softmax(-1)
        compare("repeatability", at_first, ask(first).softmax(-1), "asking again", probes.exact)
        for batch in torch.split(order, at_once):
            rows = asked[batch.to(on)].long()
            logits = ask(rows[:, :-1].contiguous())
            probes.take(batch.tolist(), logits)
            losses = F.cross_entropy(logits.flatten(0, 1), goal := rows[:, 1:].flatten(), reduction="none")
            losses = losses.where(token_bytes[goal] > 0, 0.0)  # BOS is not text, and costs nothing
            nats[batch.to(sums_on)] = losses.view(len(batch), -1).to(sums_on).double().sum(1)
        # Again, with the whole text between: a model that remembers was told the answers by then.
        again = ask(first).softmax(-1)
        compare("repeatability", at_first, again, "having seen the rest of the text", probes.exact)
        self._nats = nats[: len(self.windows)].cpu()

    def judge(self) -> tuple[float, int]:
        """Bits per byte, summed in fp64, and the bytes. Raises Rejected when a probe says no, Diverged."""
        self._probes.judge(self._nats)
        total = float(self._nats.sum())
        targets = torch.bincount(self.windows[:, 1:].flatten(), minlength=VOCAB_SIZE)
        size = int(targets @ self._token_bytes)
        if not math.isfinite(total):
            raise this_run().refuse(Diverged(f"diverged: the model's loss on unseen text is {total:g}"))
        return total / math.log(2) / size, size


def evaluation_windows(tokens: TokenArray) -> Tensor:
    """Rows from all over a split, for a few documents say little about others; int32 [N, T + 1], targets once."""
    wanted = EVAL_TOKENS // 16 if this_run().assignment.smoke else EVAL_TOKENS
    available = (len(tokens) - 1) // MAX_SEQ_LEN
    if available < 1:
        raise DataError(f"too little text to evaluate on: {len(tokens)} tokens")
    rows = max(1, min(wanted // MAX_SEQ_LEN, available))
    starts = np.arange(rows) * available // rows * MAX_SEQ_LEN
    return torch.from_numpy(tokens[starts[:, None] + np.arange(MAX_SEQ_LEN + 1)].astype(np.int32))


def rows_at_once(on: str) -> int:
    """Rows of a batch of the evaluation: their logits fit the cache of a CPU, or 1/64 of an accelerator's memory."""
    tokens = 2**11
    if on != "cpu":
        cuda = torch.cuda.get_device_properties(on) if on != "mps" else None
        memory = cuda.total_memory if cuda else torch.mps.recommended_max_memory()
        tokens = min(2**16, 2 ** int(math.log2(memory / 64 / (4 * VOCAB_SIZE))))
    return max(1, tokens // MAX_SEQ_LEN)


class Probes:
    """Rows that are asked again, and what must not have moved: answers come from a row's own past only."""

    def __init__(self, x: Tensor, exact: bool) -> None:
        self.exact, self.dice = exact, torch.Generator().manual_seed(int.from_bytes(os.urandom(7), "big"))
        length, count = x.shape[1], min(PROBED_ROWS, -(-len(x) // 4))
        self.rows = torch.randperm(len(x), generator=self.dice)[:count].repeat(3)
        self.changed_from = torch.randint(1, length, (3 * count, 1), generator=self.dice)
        self.changed_from[:count] = length  # the first third is asked as it is, in other company
        self.changed_from[count], self.changed_from[-1] = 1, length - 1
        other = x[torch.randint(len(x), (3 * count,), generator=self.dice)].clone()  # real text, or noise
        other[2 * count :] = torch.randint(BOS, (count, length), generator=self.dice)
        self.x = torch.where(torch.arange(length) < self.changed_from, x[self.rows], other)
        within = torch.rand(3 * count, PLACES - 1, generator=self.dice) * self.changed_from
        self.places = torch.cat([within.long(), self.changed_from - 1], 1)  # the last one before the change
        self.answers: dict[tuple[str, int], Tensor] = {}
        self.awaited: dict[int, list[tuple[str, int]]] = {}  # by row; the probes come after the text's rows
        for probe, row in enumerate(self.rows.tolist()):
            self.awaited.setdefault(row, []).append(("true", probe))
            self.awaited[len(x) + probe] = [("again", probe)]

    def take(self, batch: list[int], logits: Tensor) -> None:
        """Keep what the judgement needs of the answers to these rows."""
        for at, row in enumerate(batch):
            for key in self.awaited.get(row, ()):
                self.answers[key] = logits[at, self.places[key[1]].to(logits.device)].softmax(-1).cpu()

    def judge(self, nats: Tensor) -> None:
        """Raises Rejected. `nats` is the loss of every real row, fp64 [N]."""
        count = len(self.rows) // 3
        true, again = (torch.stack([self.answers[k, n] for n in range(3 * count)]) for k in ("true", "again"))
        compare("independence", true[:count], again[:count], "other rows in the batch", self.exact)
        compare("causality", true[count:], again[count:], "changing later tokens", self.exact)
        # Whoever answers a past that it has met from memory is right about the wrong future.
        probed = torch.zeros(len(nats), dtype=torch.bool)
        probed[self.rows] = True
        rest, worse = nats[~probed], float(nats[probed].mean() - nats[~probed].mean())
        if len(rest) > 1 and worse > max(WORSE * rest.mean(), WORSE_SDS * rest.std() / math.sqrt(count)):
            reason = f"causality: rows that were asked twice cost {worse / float(rest.mean()):+.0%} nats"
            raise this_run().refuse(Rejected(reason))


def compare(name: str, before: Tensor, after: Tensor, change: str, exact: bool) -> None:
    """Raises Rejected when `change` moved more of the probability, at any position, than rounding can."""
    moved = float((before - after).abs().sum(-1).max()) / 2
    if math.isnan(moved):
        raise this_run().refuse(Diverged("diverged: the model's logits on unseen text are not numbers"))
    # Batches of one shape run the same kernels, but a row may lie elsewhere in them.
    if moved > (TOLERANCE if exact else ROUNDED_TOLERANCE):
        raise this_run().refuse(Rejected(f"{name}: {change} moved {moved:.1%} of the probability"))


def evaluate_bpb(model: nn.Module) -> float:
    """Bits per byte over the validation tokens, each scored once; `finish` calls it, once a run."""
    run = this_run()
    if run.evaluated_bytes:
        raise RefereeError("the validation text is looked at once a run, by prepare.finish")
    val_bpb, run.evaluated_bytes = score(model, Evaluation(run, "val"))
    return val_bpb


@torch.inference_mode()
def score(model: nn.Module, evaluation: Evaluation) -> tuple[float, int]:
    """Bits per byte of a text, and its bytes. Raises Rejected when a probe says no, Diverged for no numbers."""
    nn.Module.eval(model)
    is_fp32 = all(parameter.dtype == torch.float32 for parameter in model.parameters())
    with random_state_kept(evaluation.device):
        before = state_hash(model)
        evaluation.ask_all(lambda x: logits_of(model, x), is_fp32)
        if state_hash(model) != before:
            reason = "mutation: being asked changed the model's parameters or buffers"
            raise this_run().refuse(Rejected(reason))
    return evaluation.judge()


def logits_of(model: nn.Module, x: Tensor) -> Tensor:
    """What the model says to `x`, as fp32 [B, T, VOCAB_SIZE]. Raises TypeError for anything else."""
    logits = model(x)
    if type(logits) is not Tensor:
        raise TypeError(f"model(x) returned {type(logits).__name__} where a tensor of logits is due")
    if not logits.is_floating_point() or logits.shape != (*x.shape, VOCAB_SIZE):
        returned, due = f"{logits.dtype} {list(logits.shape)}", [*x.shape, VOCAB_SIZE]
        raise TypeError(f"model(x) returned {returned} where float logits {due} are due")
    return logits.float()


def state_hash(model: nn.Module) -> str:
    """A hash of all parameters, buffers and training flags."""
    digest = hashlib.sha256()
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    digest.update(bytes(module.training for module in model.modules()))
    return digest.hexdigest()


# ---- Opening and verifying data: its name is a hash of its source, its parameters and its bytes ----------


@dataclass(frozen=True)
class Data:
    """Prepared data, verified and open."""

    fingerprint: str
    train: TokenArray  # memory-mapped
    val: TokenArray
    token_bytes: Tensor  # int64 [VOCAB_SIZE]


def open_data() -> Data:
    """The data of this lab. A run never makes it: DataError says, with the command, what does."""
    source = os.environ.get("AUTORESEARCH_SOURCE") or DATA_SOURCE
    try:
        pointer = pointer_of(source)
        if not pointer.exists():
            raise DataError(f"nothing is prepared for {source!r} in {cache_root()}")
        folder = cache_root() / pointer.read_text()
        check_folder(folder)
    except (OSError, DataError) as error:
        command = [sys.executable, "prepare.py", *(["--source", source] if source != DATA_SOURCE else [])]
        command += ["--cache", str(cache_root())] if os.environ.get("AUTORESEARCH_CACHE") else []
        raise DataError(f"no data: {error}; run `{shlex.join(command)}`") from error
    train, val = (np.memmap(folder / f"{split}.bin", np.uint16, "r") for split in ("train", "val"))
    lengths = np.fromfile(folder / "token_bytes.bin", np.int32).astype(np.int64)
    return Data(folder.name, train, val, torch.from_numpy(lengths))


def cache_root() -> Path:
    """Where prepared data lives; AUTORESEARCH_CACHE moves it."""
    return Path(os.environ.get("AUTORESEARCH_CACHE") or "~/.cache/autoresearch-tui").expanduser()


def data_parameters() -> dict[str, int]:
    """All that decides the bytes, besides the text."""
    names = ("DATA_FORMAT", "VOCAB_SIZE", "VAL_PERCENT", "HOLDOUT_PERCENT", "CHUNK_CHARS")
    return {name.lower(): globals()[name] for name in (*names, "SECTION_CHARS", "TOKENIZER_CHARS")}


def pointer_of(source: str) -> Path:
    """The file that names the prepared data of a source on this machine: a run need not read the source."""
    name, _, shards = source.partition(":")
    where = source if source == "python" else str(Path(source).expanduser().resolve())
    if name in HUB_SOURCES:
        where = f"karpathy/{HUB_SOURCES[name][0]}:{shards or HUB_SOURCES[name][1]}"
    library = f"{platform.python_version()} {sysconfig.get_path('stdlib')}"
    return cache_root() / f"{sha256(json.dumps([where, library, data_parameters()]))[:16]}.current"


def check_folder(folder: Path) -> dict[str, Any]:
    """The manifest, once its files were read whole and are what it says. Raises DataError."""
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        files = ("tokenizer.json", "token_bytes.bin", "train.bin", "val.bin")
        sound = all(file_sha256(folder / name) == manifest["files"][name] for name in files)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"data in {folder} cannot be read ({error})") from error
    if not sound or fingerprint_of(manifest) != folder.name:
        raise DataError(f"data in {folder} is damaged")
    return manifest


def fingerprint_of(manifest: dict[str, Any]) -> str:
    """The name of prepared data: by its source, its parameters and its own bytes."""
    return sha256(json.dumps([manifest[key] for key in ("parameters", "source_sha256", "files")]))[:16]


def sha256(text: str) -> str:
    """The hash of a text, in hex."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def file_sha256(path: Path) -> str:
    """The hash of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---- The command line: training/corpus.py makes the data, and imports this very module -------------------

if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.modules["prepare"] = sys.modules["__main__"]
    sys.path.insert(0, str(Path(__file__).resolve().parent / "training"))
    import corpus

    corpus.main()
elif "AUTORESEARCH_CHANNEL" in os.environ:
    this_run()  # so that a runner hears of whatever goes wrong from here on
