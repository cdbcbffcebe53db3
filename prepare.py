"""The referee: what is measured, by which clock, on which text. Nobody edits it during a run.

    python prepare.py [--source climbmix:4]   prepare the data, or mend it; stopped, it goes on where it was

The canvas (training/train.py) sees a run in this order:

    prepare.seed, .device, .vocab_size, .sequence_length     what this run was given
    prepare.warm_up(model, train_step, batch_size)           optional: compile off the clock
    for x, y in (stream := prepare.batches(batch_size)):     the clock: first batch to end of budget
        prepare.watch(loss)                                  every few steps; stream.fraction for schedules
    prepare.finish(model)                                    val_bpb, the one report

The evaluation calls `logits = model(x)`, x int64 [B, T], logits [B, T, vocab_size]. Two processes: the referee's,
in which only the first part of this file runs, holds tokens, targets, clock and report and sees no model; the
trainer's, in which the canvas runs, holds the model and gets tokens only. Between them are a socket, on which
nothing is believed, and memory that both map, from which the referee works on copies.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import json
import math
import mmap
import os
import platform
import resource
import secrets
import select
import shlex
import signal
import socket
import struct
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

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
# Rows that are asked with another future, of as many as there are; see benchmarks/look_ahead.py.
ALTERED_ROWS, ACCELERATOR_ALTERED_ROWS = 512, 256
ROUNDING_NATS, ACCELERATOR_ROUNDING_NATS = (
    0.002,
    0.03,
)  # what asking otherwise may move a token's cost, on average
F_SEAL_FUTURE_WRITE = 0x10  # of the kernel; Python has no name for it yet
BOS = VOCAB_SIZE - 1
IMPORTED_AT_S = time.perf_counter()
vocab_size, sequence_length = VOCAB_SIZE, MAX_SEQ_LEN
TokenArray = np.ndarray[Any, np.dtype[np.uint16]]
Numbers = np.ndarray[Any, np.dtype[Any]]


class RefereeError(Exception):
    """Ends the run with one line and no traceback."""


class DataError(RefereeError):
    """The data is missing, damaged or cannot be made; the text says what to do."""


class Diverged(RefereeError):  # noqa: N818 - it names what happened
    """The loss or the logits are no longer worth going on with."""


class Rejected(RefereeError):  # noqa: N818 - it names the verdict
    """The number would not mean what it should."""


@dataclass(frozen=True)
class Assignment:
    """What a run was given, by the runner or by hand."""

    seed: int
    budget_s: float
    clock: str  # "cpu" or "wall"
    device: str
    smoke: bool = False  # a few batches and a short evaluation: does it work at all?
    holdout: bool = False  # the runner has the sealed holdout, and wants to know that score too
    trainer: int = 0  # the process that the trainer's tree begins with
    private: str = ""  # the only folder that the trainer may write to

    def __post_init__(self) -> None:
        if self.clock not in BY_HAND_BUDGET_S or not 0 < self.budget_s < math.inf:
            raise ValueError(f"a budget of {self.budget_s} s of {self.clock!r} time")

    @staticmethod
    def by_hand() -> Assignment:
        """From AUTORESEARCH_SEED, _BUDGET_S, _CLOCK, _DEVICE and _SMOKE, or the defaults."""
        on = os.environ.get("AUTORESEARCH_DEVICE") or "cpu"
        clock = os.environ.get("AUTORESEARCH_CLOCK") or ("cpu" if on.startswith("cpu") else "wall")
        budget_s = float(os.environ.get("AUTORESEARCH_BUDGET_S") or BY_HAND_BUDGET_S.get(clock, 0.0))
        seed = int(os.environ.get("AUTORESEARCH_SEED") or BY_HAND_SEED)
        smoke = bool(os.environ.get("AUTORESEARCH_SMOKE"))
        return Assignment(seed, budget_s, clock, on, smoke, trainer=os.getppid())


# ---- What the referee hears and says: the runner's channel, and the wall to the trainer ------------------


class Channel:
    """The socket to the runner. By hand there is none, and nothing is sent."""

    def __init__(self, descriptor: str | None) -> None:
        self.socket = socket.socket(fileno=int(descriptor)) if descriptor else None
        self.over = False  # a last word was sent, and nothing after it counts
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
            flags = bool(given["smoke"]), bool(given.get("holdout"))
            return Assignment(*numbers, *words, *flags, int(given["trainer"]), str(given.get("private", "")))
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
        if not self.socket or self.over:
            return
        self.over = event in ("report", "rejected", "crash")
        try:
            self.socket.sendall(json.dumps({"event": event, **fields}).encode() + b"\n")
        except OSError as error:
            raise SystemExit(f"referee: the runner is gone ({error})") from error


class Wall:
    """The socket to the trainer: one JSON object a line, each in its turn. Nothing else gets through."""

    LONGEST = 2**14

    def __init__(self, end: socket.socket) -> None:
        self.socket, self._pending = end, b""
        self.sender = 0  # the process that wrote the latest message, as the kernel says; 0 where it does not
        if hasattr(socket, "SO_PASSCRED"):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

    def tell(self, *memories: Shared | GpuMemory, **fields: object) -> None:
        """One message, with memory that the trainer is to map."""
        line = json.dumps(fields).encode() + b"\n"
        try:
            if memories:
                socket.send_fds(self.socket, [line], [memory.descriptor for memory in memories])
            else:
                self.socket.sendall(line)
        except OSError as error:
            raise SystemExit(0) from error  # the trainer is gone: its runner says why

    def hear(self, *due: str) -> dict[str, Any]:
        """The next message, whose "do" must be one of `due`. Raises Rejected."""
        while b"\n" not in self._pending:
            try:
                data, extra, _, _ = self.socket.recvmsg(self.LONGEST, socket.CMSG_SPACE(12))
            except OSError:
                data, extra = b"", []
            if not data:
                raise SystemExit(0)
            for level, kind, value in extra:
                if (level, kind) == (socket.SOL_SOCKET, getattr(socket, "SCM_CREDENTIALS", -1)):
                    self.sender = struct.unpack("3i", value)[0]
            self._pending += data
            if len(self._pending) > 2 * self.LONGEST:
                raise Rejected("protocol: the referee was sent more than it asked for")
        line, _, self._pending = self._pending.partition(b"\n")
        with contextlib.suppress(ValueError, RecursionError):
            message = json.loads(line)
            if isinstance(message, dict) and message.get("do") in due:
                return message
        said = line[:60].decode(errors="replace")
        raise Rejected(f"protocol: {said!r} where {' or '.join(due)} was due")

    def expect_silence(self) -> None:
        """Raises Rejected when something was said out of turn."""
        if self._pending or select.select([self.socket], [], [], 0)[0]:
            raise Rejected("protocol: something was said out of turn")


class Shared:
    """Memory that both processes map, of a size that stays; the trainer's mapping may be for reading only."""

    def __init__(self, size: int, trainer_writes: bool) -> None:
        if hasattr(os, "memfd_create"):
            self.descriptor = os.memfd_create("autoresearch", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        else:
            with tempfile.TemporaryFile() as file:
                self.descriptor = os.dup(file.fileno())
        os.ftruncate(self.descriptor, size)
        self.bytes = mmap.mmap(self.descriptor, size)
        if hasattr(os, "memfd_create"):
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | (0 if trainer_writes else F_SEAL_FUTURE_WRITE)
            with contextlib.suppress(OSError):  # an older kernel cannot seal writing
                fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, seals)

    def array(self, kind: type[np.generic], shape: tuple[int, ...], offset: int = 0) -> Numbers:
        """A part of it as an array."""
        return np.frombuffer(self.bytes, kind, math.prod(shape), offset).reshape(shape)


class GpuMemory:
    """fp32 numbers on a GPU that two processes map: what one of them made the other has by its descriptor.

    CUDA's own calls, for its older handles do not pass from one PID namespace to another.
    """

    def __init__(self, count: int, device: str, descriptor: int | None = None) -> None:
        import torch

        self._call = ctypes.CDLL("libcuda.so.1")
        torch.zeros(1, device=device)  # makes the context that the calls below are about
        size = ctypes.c_size_t(-(-4 * count // 2**21) * 2**21)
        handle, address, none = ctypes.c_uint64(), ctypes.c_uint64(), ctypes.c_uint64(0)
        number = torch.device(device).index or 0
        if descriptor is None:
            # Pinned on this device, to be handed over as a descriptor.
            kind = struct.pack("=iiiiQ8x", 1, 1, 1, number, 0)
            self._do("cuMemCreate", ctypes.byref(handle), size, kind, none)
            made = ctypes.c_int()
            self._do("cuMemExportToShareableHandle", ctypes.byref(made), handle, 1, none)
            self.descriptor = made.value
        else:
            self._do("cuMemImportFromShareableHandle", ctypes.byref(handle), ctypes.c_void_p(descriptor), 1)
        self._do("cuMemAddressReserve", ctypes.byref(address), size, ctypes.c_size_t(0), none, none)
        self._do("cuMemMap", address, size, ctypes.c_size_t(0), handle, none)
        self._do("cuMemSetAccess", address, size, struct.pack("=iii", 1, number, 3), ctypes.c_size_t(1))
        place = {"shape": (count,), "typestr": "<f4", "data": (address.value, False), "version": 3}
        self.tensor: Any = torch.as_tensor(
            type("Place", (), {"__cuda_array_interface__": place})(), device=device
        )

    def _do(self, name: str, *given: object) -> None:
        code = getattr(self._call, name)(*given)
        if code != 0:
            raise OSError(f"{name} answered {code}")


def number_in(message: dict[str, Any], name: str, kind: Any = int | float) -> Any:
    """A number of the trainer's. Raises Rejected."""
    value = message.get(name)
    if isinstance(value, bool) or not isinstance(value, kind):
        raise Rejected(f"protocol: {name} is no number")
    return value


# ---- The clock, from outside ------------------------------------------------------------------------------


class Clock:
    """Seconds of wall time, or of CPU time over the trainer's process and everything below it."""

    def __init__(self, kind: str, trainer: int) -> None:
        self.kind, self._trainer = kind, trainer
        self._processes: list[int] = []
        self._look_again_at_s = self._reaped_s = self._latest_s = 0.0

    def read(self, look: bool = False) -> float:
        """Never runs backwards. Processes are looked for a few times a second, or at once to `look`."""
        now_s = time.perf_counter()
        if self.kind == "wall":
            return now_s
        if look or now_s >= self._look_again_at_s:
            self._processes, self._reaped_s = tree_of(self._trainer)
            # At most 1 % of the time goes into looking.
            self._look_again_at_s = now_s + max(0.25, 100 * (time.perf_counter() - now_s))
        self._latest_s = max(self._latest_s, self._reaped_s + sum(map(cpu_s_of, self._processes)))
        return self._latest_s


def cpu_s_of(process: int) -> float:
    """CPU seconds of a living process, in nanoseconds' precision; 0 when it is gone."""
    try:
        return time.clock_gettime(~process << 3 | 2)  # the kernel's name for another process's CPU clock
    except OSError:
        return 0.0


def tree_of(root: int) -> tuple[list[int], float]:
    """The living processes of a tree, this one left out, and the CPU seconds of those that it waited for."""
    children, waited_s = dict[int, list[int]](), dict[int, float]()
    for name in os.listdir("/proc"):  # noqa: PTH208 - several times a second
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
            fields = file.read().rpartition(b")")[2].split()
            if fields[0] not in b"ZX":
                children.setdefault(int(fields[1]), []).append(int(name))
            waited_s[int(name)] = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    tree = [root]
    for process in tree:  # grows while it is walked
        tree += [child for child in children.get(process, []) if child != os.getpid()]
    return tree, sum(waited_s.get(process, 0.0) for process in tree)


# ---- A run ------------------------------------------------------------------------------------------------


class Run:
    """The one run of this process, from its assignment to its report."""

    def __init__(self, channel: Channel, wall: Wall) -> None:
        self.channel, self.wall = channel, wall
        self.assignment = given = channel.receive()
        self.device = "cpu" if given.device.startswith("cpu") else given.device  # "cpu:0" is a lab's core
        self.data, self.clock = open_data(), Clock(given.clock, given.trainer)
        self.charged_s = 0.0  # of the budget, for a long warm-up
        self.loss: float | None = None
        self.steps = 0  # batches handed over
        self.desk: Desk | None = None
        self.report: dict[str, Any] = {}

    def serve(self) -> None:
        """The whole run. Raises RefereeError."""
        given = self.assignment
        by = "from the runner" if self.channel.socket else "by hand; AUTORESEARCH_SEED, _BUDGET_S change it"
        budget = f"{given.budget_s:g} s of {given.clock} time on {given.device}{', smoke' * given.smoke}"
        print(f"referee: seed {given.seed}, {budget} ({by}), data {self.data.fingerprint}", flush=True)
        self.wall.tell(seed=given.seed, device=self.device)
        if self.device.startswith("cuda"):  # while the trainer builds its model
            self.desk = Desk(self)
        asked = self.hear("warm-up", "batches")
        while asked["do"] == "warm-up":
            self._warm_up()
            asked = self.hear("warm-up", "batches")
        training = Training(self, number_in(asked, "rows", int), number_in(asked, "length", int))
        while (asked := self.hear("next", "finish"))["do"] == "next":
            training.hand_over()
        self._end_training(training)
        val_bpb = self._evaluate(self.data.val)
        self._write_report(val_bpb, asked)
        if given.holdout and not given.smoke:  # last: from here on the runner keeps no output
            self.report["holdout"] = self._evaluate(self.channel.receive_holdout())["val_bpb"]
        self.channel.send("report", **self.report)
        self.wall.tell(val_bpb=val_bpb["val_bpb"])

    def hear(self, *due: str) -> dict[str, Any]:
        """What the trainer does next; its losses and its last words are taken in whenever they come."""
        while True:
            message = self.wall.hear("watch", "crash", *due)
            if message["do"] == "watch":
                self.loss = float(number_in(message, "loss"))
                if not abs(self.loss) < EXPLODED_LOSS:  # as NaN is not, either
                    raise Diverged(f"diverged: loss is {self.loss:g} at step {self.steps}")
            elif message["do"] == "crash":
                raise RefereeError(str(message.get("reason"))[:300])
            else:
                return message

    def _warm_up(self) -> None:
        self.channel.send("phase", phase="warm-up")
        began_s = self.clock.read(look=True)
        self.wall.tell()
        self.hear("warmed")
        self.charged_s += max(0.0, self.clock.read(look=True) - began_s - WARM_UP_CAP_S)
        self.channel.send("phase", phase="starting")  # what is computed from here on was not for compiling
        self.wall.tell()

    def _end_training(self, training: Training) -> None:
        """Stop the clock: what came after the last batch counts too. Raises Rejected when it was overrun."""
        given, training_s = self.assignment, self.clock.read(look=True) - training.began_s
        if training.steps == 0:
            raise RefereeError("prepare.finish was called before the first batch of prepare.batches")
        self.report = {"steps": training.steps, "tokens": training.tokens, "training_s": training_s}
        self.channel.send("phase", phase="evaluating", **self.report)
        last_step_s = min(training.longest_step_s, given.budget_s / 10) + 0.5  # a last step has to end
        if training_s > given.budget_s + last_step_s and not given.smoke:
            raise Rejected(f"clock: trained {training_s:.1f} s on a budget of {given.budget_s:g} s")

    def _evaluate(self, tokens: TokenArray) -> dict[str, float]:
        windows = evaluation_windows(tokens, EVAL_TOKENS // 16 if self.assignment.smoke else EVAL_TOKENS)
        began_s = time.perf_counter()
        score = Evaluation(self, windows).score()
        return score | {"evaluation_s": time.perf_counter() - began_s}

    def _write_report(self, score: dict[str, float], asked: dict[str, Any]) -> None:
        """Complete the report, with what the trainer says of itself, and print it for people and scripts."""
        given, fingerprint = self.assignment, self.data.fingerprint
        said = asked.get("extras")
        pairs = said.items() if isinstance(said, dict) else ()
        extras = {str(name)[:40]: value for name, value in pairs if isinstance(value, int | float)}
        facts = {name: number_in(asked, name) for name in ("parameters", "peak_memory_mb", "peak_vram_mb")}
        self.report |= {"metric": "val_bpb", "value": score["val_bpb"], "seed": given.seed}
        self.report |= {"budget_s": given.budget_s, "clock": given.clock, "data_fingerprint": fingerprint}
        self.report |= {"extras": extras, "holdout": None} | facts
        self.report |= {"evaluation_s": score["evaluation_s"], "answered_tokens": score["answered_tokens"]}
        self.report |= {
            name: score[name] for name in ("evaluated_bytes", "look_ahead_bpb", "look_ahead_error_bpb")
        }
        lines = extras | {
            "val_bpb": f"{score['val_bpb']:.6f}",
            "training_seconds": f"{self.report['training_s']:.1f}",
            "eval_seconds": f"{score['evaluation_s']:.1f}",
            "total_seconds": f"{time.perf_counter() - IMPORTED_AT_S:.1f}",
            "peak_vram_mb": f"{facts['peak_vram_mb']:.1f}",
            "peak_memory_mb": f"{facts['peak_memory_mb']:.1f}",
            "referee_mb": f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.1f}",
            "look_ahead_bpb": f"{score['look_ahead_bpb']:.6f}",
            "total_tokens_M": f"{self.report['tokens'] / 1e6:.3f}",
            "num_steps": self.report["steps"],
            "num_params_M": f"{facts['parameters'] / 1e6:.3f}",
            "seed": given.seed,
            "budget": f"{given.budget_s:g} s {given.clock}",
            "data": fingerprint,
        }
        print("---", *(f"{name + ':':18}{value}" for name, value in lines.items()), sep="\n", flush=True)


class Training:
    """Which tokens come next, and whether there is budget left for them."""

    def __init__(self, run: Run, rows: int, length: int) -> None:
        if not 1 <= rows <= 2**20 or not 1 <= length < len(run.data.train) or rows * length > 2**28:
            raise RefereeError(f"there are no batches of {rows} rows of {length} tokens")
        self._run, self._rows, self._length = run, rows, length
        self._random = np.random.default_rng(run.assignment.seed)
        self.began_s = self._told_at_s = 0.0
        self.steps, self.tokens = 0, 0  # handed over
        self.elapsed_s = self.longest_step_s = 0.0  # of the budget, up to the latest batch
        memory = Shared(2 * rows * (length + 1) * 4, trainer_writes=False)
        self._windows = memory.array(np.int32, (2, rows, length + 1))
        run.wall.tell(memory)
        os.close(memory.descriptor)
        self._draw()

    @property
    def fraction(self) -> float:
        """Of the budget, 0 to 1."""
        given = self._run.assignment
        return min(self.steps / SMOKE_BATCHES if given.smoke else self.elapsed_s / given.budget_s, 1.0)

    def _draw(self) -> None:
        """Rows from anywhere in the training text, one token longer than asked: while the trainer computes."""
        train = self._run.data.train
        starts = self._random.integers(0, len(train) - self._length, self._rows)
        self._windows[self.steps % 2] = train[starts[:, None] + np.arange(self._length + 1)]

    def hand_over(self) -> None:
        """The batch that was drawn, if there is budget for it; the first one starts the clock."""
        run = self._run
        if self.steps == 0:
            run.channel.send("phase", phase="training")
            self.began_s = run.clock.read(look=True) - run.charged_s
        earlier_s, self.elapsed_s = self.elapsed_s, run.clock.read() - self.began_s
        self.longest_step_s = max(self.longest_step_s, self.elapsed_s - earlier_s)
        is_in_budget = self.fraction < 1.0
        if is_in_budget:
            self._tell_progress()
            self.steps, self.tokens = self.steps + 1, self.tokens + self._rows * self._length
            run.steps = self.steps
        run.wall.tell(more=is_in_budget, elapsed_s=self.elapsed_s, fraction=self.fraction)
        if is_in_budget:
            self._draw()

    def _tell_progress(self) -> None:
        run, now_s = self._run, time.perf_counter()
        if self.steps > 0 and now_s - self._told_at_s >= 0.5:
            self._told_at_s = now_s
            place = {"fraction": self.fraction, "elapsed_s": self.elapsed_s, "step": self.steps}
            speed = self.tokens / max(self.elapsed_s, 1e-9)
            run.channel.send("progress", **place, loss=run.loss, tokens_per_s=speed)


# ---- Evaluation: bits per byte of unseen text, and what of it was gained by looking ahead ---------------------


class Evaluation:
    """Asks with tokens, takes logits, keeps the targets, and takes away what looking ahead gained.

    Some rows are first asked with all that follows one secret position replaced by other text, beside rows of
    the same kind: that answer cannot have used the future. What the same position costs less in the row as it
    is, the model gained by looking ahead, at other rows, or at what it was asked before; the mean of that is
    added to every position. It is 0 up to rounding for an honest model. Where there is fork, whoever
    answers an altered batch has met no other row, and dies before anybody else goes on.
    """

    def __init__(self, run: Run, windows: Numbers) -> None:
        self._run, self._windows = run, windows
        self._dice = np.random.default_rng(secrets.randbits(128))
        self._desk = run.desk = run.desk or Desk(run)
        self._desk.offer()

    def score(self) -> dict[str, float]:
        """Bits per byte, with what looking ahead gained, and the bytes. Raises Rejected and Diverged."""
        targets, lengths = self._windows[:, 1:], self._run.data.token_bytes
        counts = lengths[targets] > 0  # BOS is not text, and costs nothing
        count, length = targets.shape
        most = ALTERED_ROWS if self._run.device == "cpu" else ACCELERATOR_ALTERED_ROWS
        sampled = self._dice.permutation(count)[:most]
        # Positions in even shares, so that none is left out by chance.
        shares = (np.arange(len(sampled)) + self._dice.random(len(sampled))) / len(sampled)
        places = self._dice.permutation((shares * length).astype(np.int64))
        altered = self._ask_altered(sampled, places)
        nats = np.where(counts, self._ask_all(self._windows[:, :-1], targets), 0.0)
        total, size = float(nats.sum()), int(lengths[targets].sum())
        if not math.isfinite(total):
            raise Diverged(f"diverged: the model's loss on unseen text is {total:g}")
        moved = np.where(counts[sampled, places], altered, 0.0) - nats[sampled, places]
        allowed = ROUNDING_NATS if self._run.device == "cpu" else ACCELERATOR_ROUNDING_NATS
        gain, error = float(moved.mean()), float(moved.std() / math.sqrt(len(moved)))
        if not float(np.abs(moved).mean()) <= allowed:
            raise Rejected(f"causality: with another future a token costs {gain:+.3f} nats (± {error:.3f})")
        bits = 1 / math.log(2) / size
        figures = {
            "evaluated_bytes": size,
            "answered_tokens": (count + len(sampled)) * length,
            "look_ahead_bpb": gain * targets.size * bits,
            "look_ahead_error_bpb": error * targets.size * bits,
        }
        return figures | {"val_bpb": total * bits + figures["look_ahead_bpb"]}

    def _ask_altered(self, sampled: Numbers, places: Numbers) -> Numbers:
        """What the target after each place costs when all that follows it is other text; fp64 [len(sampled)]."""
        rows, length, train = self._windows[sampled], self._windows.shape[1] - 1, self._run.data.train
        starts = self._dice.integers(0, len(train) - length, len(rows))
        others = train[starts[:, None] + np.arange(length)]
        x = np.where(np.arange(length) <= places[:, None], rows[:, :-1], others)
        everywhere = np.zeros(x.shape, np.int64)
        at = np.arange(len(rows))
        everywhere[at, places] = rows[at, places + 1]
        can_fork = self._run.device == "cpu" and sys.platform == "linux"
        fork = Fork(self._run) if can_fork else None
        costs: Numbers = self._ask_all(x, everywhere, fork)[at, places]
        return costs

    def _ask_all(self, x: Numbers, targets: Numbers, fork: Fork | None = None) -> Numbers:
        """The cost in nats of each target, in batches of one shape and in random order; fp64 [N, T]."""
        order = self._dice.permutation(len(x))
        order = np.concatenate([order, np.resize(order, -len(order) % self._desk.rows)])
        nats = np.zeros(x.shape)
        for batch in order.reshape(-1, self._desk.rows):
            with fork.alone() if fork else contextlib.nullcontext():
                nats[batch] = self._desk.ask(x[batch], targets[batch])
        return nats


class Desk:
    """Where rows are laid and answers are found: in memory that the trainer maps too, a GPU's where there is one.

    Log-softmax is taken here, of a copy: what the trainer writes after its answer changes nothing.
    """

    def __init__(self, run: Run) -> None:
        self._run, self._is_offered, length, on = run, False, MAX_SEQ_LEN, run.device
        self._gpu: GpuMemory | None = None
        if on.startswith("cuda"):
            with contextlib.suppress(Exception):  # no such device, or an older driver: the trainer says so
                self.rows = rows_at_once(on)
                self._gpu = GpuMemory(self.rows * length * VOCAB_SIZE, on)
        if self._gpu is None:
            self.rows = rows_at_once("cpu")
        asked = Shared(self.rows * length * 4, trainer_writes=True)
        answers = self._gpu or Shared(self.rows * length * VOCAB_SIZE * 4, trainer_writes=True)
        self._memories = asked, answers
        self._asked = asked.array(np.int32, (self.rows, length))
        shape = (self.rows, length, VOCAB_SIZE)
        self._answers: Any = (
            answers.array(np.float32, shape) if isinstance(answers, Shared) else answers.tensor.view(shape)
        )
        if self._gpu:  # the first time takes a second
            self._on_gpu(np.zeros((self.rows, length)))

    def offer(self) -> None:
        """Have the trainer map it, once."""
        if not self._is_offered:
            told = {"rows": self.rows, "length": MAX_SEQ_LEN, "gpu": self._gpu is not None}
            self._run.wall.tell(*self._memories, **told)
            self._run.hear("ready")
            self._is_offered = True

    def ask(self, x: Numbers, targets: Numbers) -> Numbers:
        """Nats of each target, fp64; x and targets [rows, T]. Raises Diverged for what is no number."""
        self._asked[:] = x
        self._run.wall.tell(ask=True)
        self._run.hear("answer")
        nats = self._on_gpu(targets) if self._gpu else self._on_cpu(targets)
        self._asked[:] = 0
        if np.isnan(nats).any():
            raise Diverged("diverged: the model's logits on unseen text are not numbers")
        return nats

    def _on_cpu(self, targets: Numbers) -> Numbers:
        # The difference is the copy: whatever was taken off, the cost is that of what is in it.
        with np.errstate(all="ignore"):
            own = self._answers - self._answers.max(-1, keepdims=True)
            picked = np.take_along_axis(own, targets[..., None].astype(np.int64), -1)[..., 0]
            nats: Numbers = np.log(np.exp(own, out=own).sum(-1)).astype(np.float64) - picked
        self._answers[:] = 0
        return nats

    def _on_gpu(self, targets: Numbers) -> Numbers:
        import torch

        own = self._answers.clone()
        goal = torch.from_numpy(targets.astype(np.int64)).to(own.device)
        nats = torch.nn.functional.cross_entropy(own.flatten(0, 1), goal.flatten(), reduction="none")
        found: Numbers = nats.double().view(goal.shape).cpu().numpy()
        return found


class Fork:
    """Has a batch answered by a fork of the trainer that has met nothing else, while the trainer stands still."""

    def __init__(self, run: Run) -> None:
        self._run, self._trainer = run, run.wall.sender
        self._tree, _ = tree_of(run.assignment.trainer)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Inside, only the fork runs; afterwards it is gone. Raises Rejected."""
        run = self._run
        run.wall.tell(fork=True)
        run.hear("forked")
        fork = run.wall.sender
        if fork == self._trainer or not self._trainer:
            raise Rejected("protocol: the trainer answers where its fork should")
        others = [process for process in tree_of(run.assignment.trainer)[0] if process != fork]
        stopped = others if run.channel.socket else []  # by hand a shell would take it for C-z
        signal_all(stopped, signal.SIGSTOP)
        try:
            yield
            run.wall.expect_silence()
        finally:
            signal_all([fork], signal.SIGKILL)
            deadline_s, left = time.perf_counter() + 10.0, {fork}
            while left and time.perf_counter() < deadline_s:
                left = set(tree_of(run.assignment.trainer)[0]) - set(self._tree)
                signal_all(left, signal.SIGKILL)
            signal_all(stopped, signal.SIGCONT)
        if left:
            raise Rejected("isolation: a process that answered for the model does not end")


def signal_all(processes: Iterable[int], number: signal.Signals) -> None:
    """Tell those that are still there."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


# ---- Opening and verifying data: its name is a hash of its source, its parameters and its bytes ----------


@dataclass(frozen=True)
class Data:
    """Prepared data, verified and open."""

    fingerprint: str
    train: TokenArray  # memory-mapped
    val: TokenArray
    token_bytes: Numbers  # int64 [VOCAB_SIZE]


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
    return Data(folder.name, train, val, lengths)


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


def evaluation_windows(tokens: TokenArray, wanted: int) -> Numbers:
    """Rows from all over a split, for a few documents say little about others; int32 [N, T + 1], targets once."""
    available = (len(tokens) - 1) // MAX_SEQ_LEN
    if available < 1:
        raise DataError(f"too little text to evaluate on: {len(tokens)} tokens")
    rows = max(1, min(wanted // MAX_SEQ_LEN, available))
    starts = np.arange(rows) * available // rows * MAX_SEQ_LEN
    windows: Numbers = tokens[starts[:, None] + np.arange(MAX_SEQ_LEN + 1)].astype(np.int32)
    return windows


def rows_at_once(on: str) -> int:
    """Rows of a batch of the evaluation: their logits fit the cache of a CPU, or 1/128 of a GPU's memory."""
    tokens = 2**11
    if on != "cpu":
        import torch

        memory = torch.cuda.get_device_properties(on).total_memory
        tokens = min(2**15, 2 ** int(math.log2(memory / 128 / (4 * VOCAB_SIZE))))
    return max(1, tokens // MAX_SEQ_LEN)


# ---- The referee's process, and the command line: training/corpus.py makes the data with this very module ----


def referee_main(wall: socket.socket) -> int:
    """See one run through; returns the exit code. Whatever goes wrong is told to the runner and to the trainer."""
    channel, to_trainer = Channel(os.environ.pop("AUTORESEARCH_CHANNEL", None)), Wall(wall)
    try:
        Run(channel, to_trainer).serve()
    except RefereeError as error:
        word = "rejected" if isinstance(error, Rejected) else "crash"
        channel.send(word, reason=str(error))
        to_trainer.tell(refused=type(error).__name__, reason=str(error))
        return 1
    except Exception as error:
        channel.send("crash", reason=f"the referee failed: {type(error).__name__}: {error}")
        raise
    return 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    if sys.argv[1:2] == ["--referee"]:
        sys.exit(referee_main(socket.socket(fileno=int(sys.argv[2]))))
    sys.modules["prepare"] = sys.modules["__main__"]
    sys.path.insert(0, str(Path(__file__).resolve().parent / "training"))
    import corpus

    corpus.main()
    sys.exit()

# ---- The trainer's side: nothing from here on runs in the referee's process, and nothing here is trusted ------

import copy  # noqa: E402
import functools  # noqa: E402
import random  # noqa: E402
import subprocess  # noqa: E402
from collections.abc import Callable  # noqa: E402

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

seed: int  # this and `device` are there from the first time they are asked for: see __getattr__
device: str  # "cpu", "cuda:0", "mps": where the batches are


class Referee:
    """The trainer's end of the wall."""

    def __init__(self) -> None:
        sys.excepthook = self._end_with
        # Taken out of the environment: what the canvas starts has no part in this.
        descriptor = os.environ.pop("AUTORESEARCH_WALL", None)
        self.socket = socket.socket(fileno=int(descriptor)) if descriptor else start_referee()
        self.socket.set_inheritable(False)
        self._incoming, self._descriptors = b"", list[int]()
        self.owner, self.has_batches, self.is_over = os.getpid(), False, False
        given = self.hear()
        self.seed, self.device = int(given["seed"]), str(given["device"])
        set_up_device(self.device)
        random.seed(self.seed)
        np.random.seed(self.seed % 2**32)
        torch.manual_seed(self.seed)

    def tell(self, do: str, **fields: object) -> None:
        """One message to the referee."""
        try:
            self.socket.sendall(json.dumps({"do": do, **fields}).encode() + b"\n")
        except OSError as error:
            raise SystemExit("referee: it is gone") from error

    def hear(self) -> dict[str, Any]:
        """Its next message. Raises what it says that went wrong."""
        while b"\n" not in self._incoming:
            data, descriptors = b"", list[int]()
            with contextlib.suppress(OSError):
                data, descriptors, _, _ = socket.recv_fds(self.socket, 2**14, 2)
            if not data:
                raise SystemExit("referee: it is gone")
            self._incoming += data
            self._descriptors += descriptors
        line, _, self._incoming = self._incoming.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        if "refused" in message:
            self.is_over = True
            kinds = {kind.__name__: kind for kind in (Rejected, Diverged, DataError)}
            raise kinds.get(message["refused"], RefereeError)(message["reason"])
        return message

    def take_descriptor(self) -> int:
        """Of the memories that came with messages, the next one's."""
        return self._descriptors.pop(0)

    def map(self, size: int, *, for_writing: bool) -> mmap.mmap:
        """The next memory that came, mapped."""
        descriptor = self.take_descriptor()
        access = mmap.ACCESS_WRITE if for_writing else mmap.ACCESS_READ
        try:
            return mmap.mmap(descriptor, size, access=access)
        finally:
            os.close(descriptor)

    def _end_with(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if not isinstance(error, RefereeError):  # of anything else the runner finds the reason in the log
            sys.__excepthook__(kind, error, trace)
            return
        print(f"{'rejected' if isinstance(error, Rejected) else 'crash'}: {error}", file=sys.stderr)
        if hasattr(self, "owner") and not self.is_over and os.getpid() == self.owner:
            with contextlib.suppress(SystemExit):
                self.tell("crash", reason=str(error))


def start_referee() -> socket.socket:
    """By hand, the referee is a child of the trainer; returns the trainer's end of the wall."""
    ours, theirs = socket.socketpair()
    gpu = "cuda:0" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    told = {"AUTORESEARCH_DEVICE": os.environ.get("AUTORESEARCH_DEVICE") or gpu}
    command = [sys.executable, str(Path(__file__).resolve()), "--referee", str(theirs.fileno())]
    subprocess.Popen(command, env=os.environ | told, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    theirs.close()
    return ours


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


# The referee of this process; the first call takes the assignment and seeds everything.
this_referee = functools.cache(Referee)


class Batches:
    """Training batches until the budget is spent: x and y, int64 [batch_size, T], y one token ahead of x."""

    def __init__(self, referee: Referee, batch_size: int, length: int) -> None:
        self._referee, self._device = referee, referee.device
        referee.tell("batches", rows=batch_size, length=length)
        referee.hear()
        memory = referee.map(2 * batch_size * (length + 1) * 4, for_writing=False)
        self._windows = np.frombuffer(memory, np.int32).reshape(2, batch_size, length + 1)
        self._staged = [torch.empty(0)] * 2
        if self._device.startswith("cuda"):
            self._staged = [
                torch.empty(batch_size, length + 1, dtype=torch.int32).pin_memory() for _ in range(2)
            ]
        self._queued: torch.cuda.Event | None = None
        self._batch_tokens = batch_size * length
        self.steps, self.tokens, self.elapsed_s, self.fraction = 0, 0, 0.0, 0.0  # up to the latest batch

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        if self.steps == 0:
            synchronize(self._device)
        self._keep_pace()
        self._referee.tell("next")
        answer = self._referee.hear()
        self.elapsed_s, self.fraction = answer["elapsed_s"], answer["fraction"]
        if not answer["more"]:
            raise StopIteration
        pair = self._take(self.steps % 2)
        self.steps, self.tokens = self.steps + 1, self.tokens + self._batch_tokens
        return pair

    def _take(self, half: int) -> tuple[Tensor, Tensor]:
        window = self._windows[half]
        if self._device == "cpu":
            return torch.from_numpy(window[:, :-1].astype(np.int64)), torch.from_numpy(
                window[:, 1:].astype(np.int64)
            )
        if self._device.startswith("cuda"):
            self._staged[half].numpy()[:] = window
            moved = self._staged[half].to(self._device, non_blocking=True).long()
        else:
            moved = torch.from_numpy(window.astype(np.int64)).to(self._device)
        return moved[:, :-1].contiguous(), moved[:, 1:].contiguous()

    def _keep_pace(self) -> None:
        # One step may wait in the GPU's queue while the next is taken. With more, the clock ends too early.
        if self._device.startswith("cuda"):
            earlier, self._queued = self._queued, torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._queued.record()
            if earlier:
                earlier.synchronize()
        else:
            synchronize(self._device)


def batches(batch_size: int, length: int = MAX_SEQ_LEN) -> Batches:
    """The training batches of this run. One training per run: a second call is refused."""
    referee = this_referee()
    if referee.has_batches:
        raise RefereeError("prepare.batches was called twice: there is one training per run")
    referee.has_batches = True
    return Batches(referee, batch_size, length)


_watched: Tensor | float | None = None
_watched_at_s = 0.0


def watch(loss: float | Tensor) -> None:
    """Show the referee a loss (mean nats per token). Raises Diverged when it is not worth going on."""
    global _watched_at_s
    # Reading it from a GPU waits for the GPU: that is done twice a second.
    now_s = time.perf_counter()
    if isinstance(loss, Tensor) and loss.device.type != "cpu" and now_s - _watched_at_s < 0.5:
        return
    _watched_at_s, value = now_s, float(loss.detach() if isinstance(loss, Tensor) else loss)
    this_referee().tell("watch", loss=value)
    if not abs(value) < EXPLODED_LOSS:
        this_referee().hear()  # it says so, and that is raised


def warm_up(model: nn.Module, train_step: Callable[..., object], batch_size: int) -> None:
    """Compile off the clock: `train_step(copy, x, y)` on random tokens and a copy of the model, thrown away.

    An optimizer that the step uses is its own, made for the copy. On a CPU all of it happens in a fork, of which
    only what compilers leave on the disk remains; elsewhere random state is as before afterwards.
    """
    referee = this_referee()
    if referee.has_batches:
        raise RefereeError("prepare.warm_up was called after prepare.batches")
    referee.tell("warm-up")
    referee.hear()
    if referee.device == "cpu" and hasattr(os, "fork"):
        _in_a_fork(lambda: _rehearse(model, train_step, batch_size))
    else:
        with random_state_kept(referee.device):
            _rehearse(model, train_step, batch_size)
    referee.tell("warmed")
    referee.hear()


def _rehearse(model: nn.Module, train_step: Callable[..., object], batch_size: int) -> None:
    on, throwaway = this_referee().device, copy.deepcopy(model)
    for _ in range(3):
        window = torch.randint(BOS, (batch_size, MAX_SEQ_LEN + 1)).to(on)
        train_step(throwaway, window[:, :-1].contiguous(), window[:, 1:].contiguous())
    synchronize(on)


def _in_a_fork(work: Callable[[], object]) -> None:
    """Do it in a child; what goes wrong there is raised here too."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            sys.__excepthook__(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != 0:
        raise SystemExit(f"warm_up failed: exit code {code}")


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


def finish(model: nn.Module, **extras: float) -> float:
    """Stop the clock and answer the evaluation; the referee reports. Returns val_bpb. `extras` decide nothing."""
    referee = this_referee()
    if not referee.has_batches:
        raise RefereeError("prepare.finish was called before the first batch of prepare.batches")
    on_cuda, memory = referee.device.startswith("cuda"), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    synchronize(referee.device)
    referee.tell(
        "finish",
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        peak_memory_mb=memory / (2**20 if sys.platform == "darwin" else 2**10),
        peak_vram_mb=torch.cuda.max_memory_allocated(referee.device) / 2**20 if on_cuda else 0.0,
        extras={name: value if isinstance(value, int) else float(value) for name, value in extras.items()},
    )
    nn.Module.eval(model)
    desk: tuple[Tensor, Tensor] | None = None
    with torch.inference_mode(), random_state_kept(referee.device):
        while "val_bpb" not in (told := referee.hear()):
            if "rows" in told:
                desk = _map_desk(referee, told["rows"], told["length"], is_on_gpu=told["gpu"])
                referee.tell("ready")
            elif desk is not None and told.get("fork"):
                _answer_in_a_fork(referee, model, desk)
            elif desk is not None:
                _answer(referee, model, desk)
    referee.is_over = True
    return float(told["val_bpb"])


def _map_desk(referee: Referee, rows: int, length: int, *, is_on_gpu: bool) -> tuple[Tensor, Tensor]:
    """Where the referee lays its rows and finds the logits."""
    asked, answers = rows * length, rows * length * VOCAB_SIZE
    x = torch.frombuffer(referee.map(4 * asked, for_writing=True), dtype=torch.int32)
    if is_on_gpu:
        descriptor = referee.take_descriptor()
        logits: Tensor = GpuMemory(answers, referee.device, descriptor).tensor
        os.close(descriptor)
    else:
        logits = torch.frombuffer(referee.map(4 * answers, for_writing=True), dtype=torch.float32)
    return x.view(rows, length), logits.view(rows, length, VOCAB_SIZE)


def _answer(referee: Referee, model: nn.Module, desk: tuple[Tensor, Tensor]) -> None:
    x, logits = desk
    logits.copy_(logits_of(model, x.to(referee.device).long()))
    synchronize(referee.device)
    referee.tell("answer")


def _answer_in_a_fork(referee: Referee, model: nn.Module, desk: tuple[Tensor, Tensor]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        try:
            referee.tell("forked")
            referee.hear()
            _answer(referee, model, desk)
            signal.pause()  # the referee ends it
        except BaseException as error:
            sys.__excepthook__(type(error), error, error.__traceback__)
            with contextlib.suppress(BaseException):
                referee.tell("crash", reason=f"{type(error).__name__}: {error}")
        finally:
            sys.stderr.flush()
            os._exit(1)
    os.waitpid(child, 0)


def logits_of(model: nn.Module, x: Tensor) -> Tensor:
    """What the model says to `x`, as fp32 [B, T, VOCAB_SIZE]. Raises TypeError for anything else."""
    logits = model(x)
    if not isinstance(logits, Tensor):
        raise TypeError(f"model(x) returned {type(logits).__name__} where a tensor of logits is due")
    if not logits.is_floating_point() or logits.shape != (*x.shape, VOCAB_SIZE):
        returned, due = f"{logits.dtype} {list(logits.shape)}", [*x.shape, VOCAB_SIZE]
        raise TypeError(f"model(x) returned {returned} where float logits {due} are due")
    return logits.float()


def __getattr__(name: str) -> int | str:
    if name not in ("seed", "device"):
        raise AttributeError(f"module 'prepare' has no attribute {name!r}")
    return this_referee().seed if name == "seed" else this_referee().device


if "AUTORESEARCH_WALL" in os.environ:
    this_referee()  # so that a runner hears of whatever goes wrong from here on
