"""The canvas: a small GPT, trained for the budget that the referee (prepare.py) gives it. Edit anything.

Run it by hand with `python training/train.py`. The referee owns data, seed, clock and evaluation: batches
come from `prepare.batches`, whose loop is the clock, and the model is a callable from tokens to logits. No
position may see a later one, and no row of a batch another row.
"""

# This is a plain textbook start, on purpose: GPT-2's shape in miniature, AdamW, a constant learning rate with
# a short warm-down. Nothing here was tuned for the budget: there is real headroom, and no edit is to be
# believed before it is measured.

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import prepare

# ----------------------------------------------------------------------------------------------------------
# Knobs: one a line, plain literals; nothing overrides them at run time
# ----------------------------------------------------------------------------------------------------------

# Model
DEPTH = 4  # transformer blocks
N_EMBD = 64  # residual width
N_HEAD = 4  # attention heads
MLP_RATIO = 4  # hidden width of the MLP, in residual widths
ROPE_BASE = 10000.0  # wavelength base of the rotary positions
WINDOW_PATTERN = "L"  # per block, repeated: "L" full context, "S" a short one; "SL", "SSL", "SSSL", "S"
SHORT_WINDOW = 0.5  # fraction of the context, only with "S" in WINDOW_PATTERN
RMS_NORM = False  # RMSNorm without weights, in place of LayerNorm
RELU_SQUARED = False  # the MLP's bend, in place of GELU
QK_NORM = False  # normalise queries and keys of each head
VALUE_EMBEDDINGS = False  # every other block adds a token embedding to its values
VALUE_GATE = False  # a gate per head says how much of it; only with VALUE_EMBEDDINGS
NORMED_EMBEDDING = False  # the stream starts at unit scale
SHORTCUT = False  # a learned share of the stream, and of the embedding, enters each block
SOFTCAP = 0.0  # logits squashed into ±SOFTCAP; 0 = off, typical 15
INIT_STD = 0.02  # spread of the initial weights
EMBEDDING_STD = 0.02  # of the token embedding
HEAD_STD = 0.02  # of the output head
ZERO_PROJECTIONS = False  # what writes to the stream starts at zero: each block as the identity

# Optimisation
TOKENS_PER_STEP = 4096  # tokens per optimizer step
MATRIX_OPTIMIZER = "adamw"  # of the blocks' matrices: "adamw" or "muon"
MATRIX_LR = 0.001  # blocks' matrices under AdamW
MUON_LR = 0.02  # blocks' matrices under Muon
EMBEDDING_LR = 0.003  # token and value embeddings
UNEMBEDDING_LR = 0.003  # output head
LR_WIDTH = 0  # width that the two rates above are meant for: they go as 1/√width; 0 = off, typical 768
SCALAR_LR = 0.003  # norms and other vectors
WEIGHT_DECAY = 0.1  # decoupled, matrices only
DECAY_FALLS = False  # the weight decay falls to 0 over the budget
ADAM_BETA1 = 0.9
ADAM_BETA2 = 0.95
ADAM_EPS = 1e-8
SCALAR_BETA1 = 0.9  # of norms and other vectors
MUON_MOMENTUM = 0.95
MUON_WARMUP = 0  # steps over which Muon's momentum rises from 0.85; 0 = off, typical 300
MUON_SCALED = False  # Muon's rows scaled by their running size, and no decay against the gradient (NorMuon)
GRAD_CLIP = 1.0  # largest gradient norm; 0 = off

# Schedule, in fractions of the training budget
WARMUP = 0.0  # learning rate rises from 0
WARMDOWN = 0.1  # learning rate falls to FINAL_LR
FINAL_LR = 0.0  # in fractions of the peak

# Machine: these change speed and memory, not the research
THREADS = 1  # CPU only: a slot of the lab is one core
COMPILE = False  # pays where runs last minutes; compiling happens in warm_up, off the clock
MAX_ROWS = 64  # sequences per forward pass; more of them in a step are accumulated

assert 0 < SHORT_WINDOW <= 1, "a window is a fraction of the context"
assert N_EMBD % (2 * N_HEAD) == 0, "a head needs an even, whole share of N_EMBD"
assert DEPTH >= 1 and MLP_RATIO >= 1 and TOKENS_PER_STEP >= 1
assert WARMUP >= 0 and WARMDOWN >= 0 and WARMUP + WARMDOWN <= 1, "the schedule has one budget to share"

# ----------------------------------------------------------------------------------------------------------
# The device: its precision, its attention, its peak
# ----------------------------------------------------------------------------------------------------------

ON_CUDA = prepare.device.startswith("cuda")
CAPABILITY = torch.cuda.get_device_capability() if ON_CUDA else (0, 0)
# Matrix products in bf16 from Ampere on; Turing and Volta are fast in fp16 only, whose gradients need scaling.
DTYPE = torch.float32 if not ON_CUDA else torch.bfloat16 if CAPABILITY >= (8, 0) else torch.float16

# Dense bf16 TFLOPS with fp32 accumulation (fp16 before Ampere), without sparsity, of devices whole: NVIDIA's
# data sheets and architecture white papers up to 2025. The first name that is a word of the device's decides.
PEAK_TFLOPS = {
    "H100 PCIe": 756.0, "H100 NVL": 835.0, "H100": 989.4, "H200 NVL": 835.0, "H200": 989.4, "GH200": 989.4,
    "B200": 2250.0, "A100": 312.0, "A40": 149.7, "A10G": 70.0, "A10": 125.0, "RTX A6000": 154.8,
    "L40S": 362.0, "L40": 181.0, "L4": 121.0, "RTX 5090": 209.5, "RTX 4090": 165.2, "RTX 3090 Ti": 80.0,
    "RTX 3090": 71.0, "T4": 65.0, "V100": 125.0,
}  # fmt: skip


def find_flash_attention() -> Callable[..., Any] | None:
    """FlashAttention-3 where it is installed on a Hopper, or in the hub's cache; nothing is fetched."""
    if CAPABILITY[0] != 9:
        return None
    with contextlib.suppress(ImportError, OSError):
        return importlib.import_module("flash_attn_interface").flash_attn_func
    os.environ["HF_HUB_OFFLINE"] = "1"
    repository = "varunneal/flash-attention-3"
    with contextlib.suppress(Exception):  # the package has an error of its own for each way of not having it
        kernels = importlib.import_module("kernels")
        try:
            return kernels.get_kernel(repository, version=1).flash_attn_interface.flash_attn_func
        except Exception:  # before 0.15 it knew no versions
            return kernels.get_kernel(repository).flash_attn_interface.flash_attn_func
    return None


FLASH_ATTENTION = find_flash_attention()


@functools.cache
def flex_window(length: int, window: int) -> tuple[Callable[..., Tensor], Any] | None:
    """FlexAttention and its block mask, which skip what is outside the window; None where it cannot compile."""
    if not (COMPILE and ON_CUDA) or FLASH_ATTENTION or CAPABILITY < (8, 0):
        return None
    try:
        flex = importlib.import_module("torch.nn.attention.flex_attention")  # from torch 2.5 on
    except ImportError:
        return None
    inside = lambda b, h, q, k: (q >= k) & (q - k < window)  # noqa: ARG005, E731
    return flex.flex_attention, flex.create_block_mask(inside, None, None, length, length, prepare.device)


def in_device_precision(forward: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    """Matrix products in DTYPE, in training and evaluation alike."""

    @functools.wraps(forward)
    def wrapped(self: nn.Module, tokens: Tensor) -> Tensor:
        low = torch.autocast("cuda", DTYPE) if tokens.is_cuda else contextlib.nullcontext()
        with low:
            return forward(self, tokens)

    return wrapped


# ----------------------------------------------------------------------------------------------------------
# Model
# ----------------------------------------------------------------------------------------------------------


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions: turn the halves of each head by its position's angles. x: (B, H, T, D)."""
    left, right = x.chunk(2, dim=-1)
    return torch.cat((left * cos - right * sin, left * sin + right * cos), dim=-1)


NORM = functools.partial(nn.RMSNorm, elementwise_affine=False) if RMS_NORM else nn.LayerNorm
GATE_WIDTH = min(32, N_EMBD)  # of the stream, that a value gate looks at


class Attention(nn.Module):
    """Causal self-attention over the full context, or over a short window of it."""

    mask: Tensor

    def __init__(self, layer: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(N_EMBD, 3 * N_EMBD, bias=False)
        self.out = nn.Linear(N_EMBD, N_EMBD, bias=False)
        has_values = VALUE_EMBEDDINGS and layer % 2 == (DEPTH - 1) % 2
        self.value_embedding = nn.Embedding(prepare.vocab_size, N_EMBD) if has_values else None
        self.value_gate = nn.Linear(GATE_WIDTH, N_HEAD, bias=False) if has_values and VALUE_GATE else None
        self.windowed = WINDOW_PATTERN[layer % len(WINDOW_PATTERN)] == "S"
        self.window = max(1, int(SHORT_WINDOW * prepare.sequence_length))
        self.flex = flex_window(prepare.sequence_length, self.window) if self.windowed else None
        if self.windowed:
            position = torch.arange(prepare.sequence_length)
            distance = position[:, None] - position[None, :]
            self.register_buffer("mask", (distance >= 0) & (distance < self.window), persistent=False)

    def forward(self, x: Tensor, tokens: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        B, T, C = x.shape
        q, k, v = self.qkv(x).split(C, dim=-1)
        if self.value_embedding is not None:
            values = self.value_embedding(tokens).to(v.dtype)
            if self.value_gate is not None:
                gate = 2 * torch.sigmoid(self.value_gate(x[..., :GATE_WIDTH]))
                values = (gate[..., None] * values.view(B, T, N_HEAD, -1)).view(B, T, C)
            v = v + values
        q, k, v = (part.view(B, T, N_HEAD, C // N_HEAD).transpose(1, 2) for part in (q, k, v))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if QK_NORM:
            q, k = F.rms_norm(q, (q.size(-1),)), F.rms_norm(k, (k.size(-1),))
        if FLASH_ATTENTION or (self.flex and torch.compiler.is_compiling() and prepare.sequence_length == T):
            return self.out(self.attend_fast(q.to(v.dtype), k.to(v.dtype), v).reshape(B, T, C))
        mask = self.mask[:T, :T] if self.windowed else None
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.out(y.transpose(1, 2).reshape(B, T, C))

    def attend_fast(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """By FlashAttention-3 or FlexAttention. q, k, v: (B, H, T, D); returns (B, T, H, D)."""
        if self.flex:
            attend, mask = self.flex
            return attend(q, k, v, block_mask=mask).transpose(1, 2)
        assert FLASH_ATTENTION is not None
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        window = (self.window - 1, 0) if self.windowed else (-1, -1)
        y = FLASH_ATTENTION(q, k, v, causal=True, window_size=window)
        return y[0] if isinstance(y, tuple) else y  # older ones return the log-sums too


class MLP(nn.Module):
    """Two linear maps with a bend between them."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(N_EMBD, MLP_RATIO * N_EMBD, bias=False)
        self.down = nn.Linear(MLP_RATIO * N_EMBD, N_EMBD, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(x)
        x = F.relu(x).square() if RELU_SQUARED else F.gelu(x)
        return self.down(x)


class Block(nn.Module):
    """Attention, then MLP, each on a normalised copy of the residual stream (pre-norm)."""

    def __init__(self, layer: int) -> None:
        super().__init__()
        self.attention_norm = NORM(N_EMBD)
        self.attention = Attention(layer)
        self.mlp_norm = NORM(N_EMBD)
        self.mlp = MLP()
        if SHORTCUT:
            self.kept, self.recalled = nn.Parameter(torch.ones(1)), nn.Parameter(torch.full((1,), 0.1))

    def forward(self, x: Tensor, start: Tensor, tokens: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        if SHORTCUT:
            x = self.kept.to(x.dtype) * x + self.recalled.to(x.dtype) * start
        x = x + self.attention(self.attention_norm(x), tokens, cos, sin)
        x = x + self.mlp(self.mlp_norm(x))
        return x


class GPT(nn.Module):
    """Decoder-only transformer: tokens (B, T) to logits (B, T, vocab)."""

    cos: Tensor
    sin: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(prepare.vocab_size, N_EMBD)
        self.blocks = nn.ModuleList(Block(layer) for layer in range(DEPTH))
        self.final_norm = NORM(N_EMBD)
        self.head = nn.Linear(N_EMBD, prepare.vocab_size, bias=False)
        half = N_EMBD // N_HEAD // 2
        wavelengths = ROPE_BASE ** (torch.arange(half) / half)
        angles = torch.arange(prepare.sequence_length)[:, None] / wavelengths
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self.apply(self.init_weights)
        zeroed = ("out.weight", "down.weight") if ZERO_PROJECTIONS else ()
        for name, weight in self.named_parameters():
            if name.endswith((*zeroed, "value_gate.weight")):  # such a gate starts half open: at 1
                nn.init.zeros_(weight)

    def init_weights(self, module: nn.Module) -> None:
        if module is self.embedding or module is self.head:
            nn.init.normal_(module.weight, std=HEAD_STD if module is self.head else EMBEDDING_STD)
        elif isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=INIT_STD)

    @in_device_precision
    def forward(self, tokens: Tensor) -> Tensor:
        T = tokens.size(1)
        x = self.embedding(tokens)
        if NORMED_EMBEDDING:
            x = F.rms_norm(x, (N_EMBD,))
        x = start = x.to(DTYPE)
        cos, sin = self.cos[:T].to(DTYPE), self.sin[:T].to(DTYPE)
        for block in self.blocks:
            x = block(x, start, tokens, cos, sin)
        logits: Tensor = self.head(self.final_norm(x)).float()
        if SOFTCAP:
            logits = SOFTCAP * torch.tanh(logits / SOFTCAP)
        return logits


# ----------------------------------------------------------------------------------------------------------
# Optimizers
# ----------------------------------------------------------------------------------------------------------


# The quintics of Polar Express (Amsel and others, 2025): each step is the best one after those before it.
QUINTICS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


def orthogonalise(G: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrix, roughly; in bf16 where there is. G: (matrices, rows, columns)."""
    X = G.to(torch.bfloat16 if DTYPE is torch.bfloat16 else torch.float32)
    tall = X.size(-2) > X.size(-1)
    X = X.mT if tall else X
    X = X / (1.02 * X.norm(dim=(-2, -1), keepdim=True) + 1e-6)
    for a, b, c in QUINTICS:
        A = X @ X.mT
        X = a * X + (b * A + c * (A @ A)) @ X
    return (X.mT if tall else X).to(G.dtype)


def muon_step(
    P: Tensor, G: Tensor, M: Tensor, S: Tensor, lr: Tensor, momentum: Tensor, decay: Tensor
) -> Tensor:
    """The new matrices. P, G, M: matrices, gradients, momenta (n, rows, columns); S: running sizes of rows."""
    M.lerp_(G, 1 - momentum)
    U = orthogonalise(G.lerp(M, momentum))
    if MUON_SCALED:
        size = U.norm(dim=(-2, -1), keepdim=True)
        S.lerp_(U.square().mean(-1 if U.size(-2) >= U.size(-1) else -2, keepdim=True), 0.05)
        U.mul_(S.clamp_min(1e-10).rsqrt())
        U.mul_(size / U.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-10))
        decay = decay * (U * P >= 0)
    scale = max(1.0, P.size(-2) / P.size(-1)) ** 0.5
    return P.mul_(1 - lr * decay).sub_(U.mul_(lr * scale))


COMPILED_MUON_STEP = torch.compile(muon_step, dynamic=False) if COMPILE and ON_CUDA else muon_step


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised: every direction of a matrix moves alike (Keller Jordan, 2024)."""

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, momentum: float, weight_decay: float
    ) -> None:
        super().__init__(list(params), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.steps = 0

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        self.steps += 1
        for group in self.param_groups:
            shapes: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
            for p in (p for p in group["params"] if p.grad is not None):
                # Queries, keys and values lie in one matrix and are three.
                for part, grad in zip(
                    *(each.chunk(getattr(p, "parts", 1)) for each in (p, p.grad)), strict=True
                ):
                    shapes.setdefault(part.shape, []).append((part, grad))
            for same in shapes.values():  # one stacked iteration per shape: far fewer small products
                self.step_stacked(same, group)

    def step_stacked(self, same: list[tuple[Tensor, Tensor]], group: dict[str, Any]) -> None:
        params, grads = [p for p, _ in same], torch.stack([grad for _, grad in same])
        state = group.setdefault("states", {}).setdefault(params[0].shape, {})
        if not state:
            across = -1 if params[0].size(-2) >= params[0].size(-1) else -2
            state |= {
                "momentum": torch.zeros_like(grads),
                "sizes": torch.zeros_like(grads.mean(across, True)),
            }
        risen = min(self.steps / MUON_WARMUP, 1.0) if MUON_WARMUP else 1.0
        momentum = min(0.85, group["momentum"]) * (1 - risen) + group["momentum"] * risen
        # As tensors, so that a new value compiles nothing again.
        numbers = (torch.tensor(number) for number in (group["lr"], momentum, group["weight_decay"]))
        stepped = COMPILED_MUON_STEP(torch.stack(params), grads, state["momentum"], state["sizes"], *numbers)
        torch._foreach_copy_(params, stepped.unbind())


def build_optimizers(model: nn.Module) -> list[torch.optim.Optimizer]:
    """One group per kind of parameter, each with its own learning rate."""
    names = ("embedding", "head", "kept", "scalar", "matrix")
    kinds: dict[str, list[nn.Parameter]] = {name: [] for name in names}
    for name, parameter in model.named_parameters():
        parameter.parts = 3 if name.endswith("qkv.weight") else 1  # type: ignore[attr-defined]
        if "embedding" in name:
            kinds["embedding"].append(parameter)
        elif name.startswith("head."):
            kinds["head"].append(parameter)
        elif name.endswith(".kept"):
            kinds["kept"].append(parameter)
        else:
            kinds["scalar" if parameter.ndim < 2 else "matrix"].append(parameter)
    width = (N_EMBD / LR_WIDTH) ** -0.5 if LR_WIDTH else 1.0
    vector_betas = (SCALAR_BETA1, ADAM_BETA2)
    groups: list[dict[str, Any]] = [
        {"params": kinds["embedding"], "lr": EMBEDDING_LR * width, "weight_decay": 0.0},
        {"params": kinds["head"], "lr": UNEMBEDDING_LR * width, "weight_decay": 0.0},
        # The stream is scaled by the product of them all: small steps.
        {"params": kinds["kept"], "lr": SCALAR_LR / 100, "weight_decay": 0.0},
        {"params": kinds["scalar"], "lr": SCALAR_LR, "weight_decay": 0.0, "betas": vector_betas},
    ]
    optimizers: list[torch.optim.Optimizer] = []
    if MATRIX_OPTIMIZER == "muon":
        optimizers.append(Muon(kinds["matrix"], MUON_LR, MUON_MOMENTUM, WEIGHT_DECAY))
    else:
        groups.append({"params": kinds["matrix"], "lr": MATRIX_LR, "weight_decay": WEIGHT_DECAY})
    groups = [group for group in groups if group["params"]]
    optimizers.append(torch.optim.AdamW(groups, betas=(ADAM_BETA1, ADAM_BETA2), eps=ADAM_EPS, fused=True))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"], group["peak_decay"] = group["lr"], group["weight_decay"]
    return optimizers


# ----------------------------------------------------------------------------------------------------------
# Training
# ----------------------------------------------------------------------------------------------------------


def learning_rate_scale(fraction: float) -> float:
    """The learning rate after this fraction of the budget, in fractions of its peak."""
    if fraction < WARMUP:
        return fraction / WARMUP
    if fraction > 1 - WARMDOWN:
        remaining = (1 - fraction) / WARMDOWN
        return FINAL_LR + (1 - FINAL_LR) * remaining
    return 1.0


def loss_of(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy in nats per token."""
    logits = model(x)
    return F.cross_entropy(logits.flatten(0, 1), y.flatten())


def update(
    model: nn.Module, optimizers: list[torch.optim.Optimizer], scaler: torch.amp.GradScaler, fraction: float
) -> None:
    """One step of every optimizer on the gathered gradients, after this fraction of the budget."""
    for optimizer in optimizers if scaler.is_enabled() else ():
        scaler.unscale_(optimizer)
    if GRAD_CLIP:
        nn.utils.clip_grad_norm_(model.parameters(), GRAD_CLIP)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * learning_rate_scale(fraction)
            if DECAY_FALLS:
                group["weight_decay"] = group["peak_decay"] * (1 - fraction)
        scaler.step(optimizer)
        optimizer.zero_grad(set_to_none=True)
    scaler.update()


def accumulated_passes() -> int:
    """Forward passes that make one optimizer step: more than one where it outgrows MAX_ROWS."""
    return max(1, math.ceil(TOKENS_PER_STEP / prepare.sequence_length / MAX_ROWS))


def batch_rows() -> int:
    """Sequences per forward pass."""
    return max(1, TOKENS_PER_STEP // prepare.sequence_length // accumulated_passes())


class ProgressLine:
    """One live line: rewritten on a terminal, printed afresh every two seconds elsewhere."""

    def __init__(self) -> None:
        self.live = sys.stdout.isatty()
        self.interval_s = 0.2 if self.live else 2.0
        self.started = self.shown = time.monotonic()
        self.tokens = 0
        self.step, self.loss = 0, torch.zeros(())

    def advance(self, step: int, fraction: float, loss: Tensor) -> None:
        """Show the line when the interval is over."""
        self.step, self.loss = step, loss
        if time.monotonic() - self.shown >= self.interval_s:
            self.show(fraction)

    def show(self, fraction: float) -> None:
        """Print the line; reading the loss waits for the device."""
        self.shown = time.monotonic()
        speed = self.tokens / max(self.shown - self.started, 1e-6) / 1000
        line = f"step {self.step:05d} | {100 * fraction:2.0f} % | loss {self.loss.item():.2f}"
        line += f" | {speed:.0f}k tok/s"
        print(f"\r\x1b[K{line}" if self.live else line, end="" if self.live else "\n", flush=True)

    def close(self) -> None:
        """Leave the last line standing."""
        self.show(1.0)
        if self.live:
            print(flush=True)


def flops_per_token(model: nn.Module) -> float:
    """Of a training step: six for each weight that is multiplied with, twelve for each width seen by attention."""
    multiplied = sum(
        p.numel() for name, p in model.named_parameters() if p.ndim == 2 and "embedding" not in name
    )
    T = prepare.sequence_length
    spans = [m.window if m.windowed else T for m in model.modules() if isinstance(m, Attention)]
    return 6 * multiplied + 12 * N_EMBD * sum(spans)


def speed_of(model: nn.Module, stream: prepare.Batches) -> dict[str, float]:
    """Tokens per second, and the share of the device's peak that they are where it is known."""
    tokens_per_s = stream.tokens / max(stream.elapsed_s, 1e-9)
    name = torch.cuda.get_device_name() if ON_CUDA else ""
    part = re.search(r"MIG|Laptop", name)
    peak = next(
        (p for known, p in PEAK_TFLOPS.items() if re.search(rf"\b{known}\b", name) and not part), None
    )
    mfu = {"mfu_percent": round(tokens_per_s * flops_per_token(model) / peak / 1e10, 2)} if peak else {}
    return {"tokens_per_s": round(tokens_per_s, 1), **mfu}


def main() -> None:
    """Train until the referee's batches end, then hand the model over."""
    torch.manual_seed(prepare.seed)
    if prepare.device == "cpu":
        torch.set_num_threads(THREADS)
    torch.set_float32_matmul_precision("high")
    model = GPT().to(prepare.device)
    optimizers = build_optimizers(model)
    scaler = torch.amp.GradScaler("cuda", enabled=DTYPE is torch.float16)
    compute_loss = torch.compile(loss_of, dynamic=False) if COMPILE else loss_of

    def rehearse(copy: nn.Module, x: Tensor, y: Tensor) -> None:
        compute_loss(copy, x, y).backward()
        update(copy, build_optimizers(copy), torch.amp.GradScaler("cuda", enabled=False), 0.0)

    if COMPILE:
        prepare.warm_up(model, rehearse, batch_rows())
    if ON_CUDA:  # a sweep over all objects would stall the device's queue
        gc.collect()
        gc.freeze()
        gc.disable()

    progress = ProgressLine()
    passes = accumulated_passes()
    for batch, (x, y) in enumerate(stream := prepare.batches(batch_rows()), start=1):
        loss = compute_loss(model, x, y)
        scaler.scale(loss / passes).backward()
        progress.tokens += x.numel()
        if batch % passes == 0:
            update(model, optimizers, scaler, stream.fraction)
            prepare.watch(loss)
            progress.advance(batch // passes, stream.fraction, loss.detach())
    progress.close()
    prepare.finish(model, **speed_of(model, stream))


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as error:
        if "out of memory" not in str(error):
            raise
        tried = re.search(r"Tried to allocate [\d.]+ \w+", str(error))
        said = f"out of memory: {tried[0].replace('Tried', 'tried')}" if tried else "out of memory"
        sys.exit(f"{said}; lower MAX_ROWS (it is {MAX_ROWS}), or the model's size")
