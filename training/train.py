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
import math
import sys
import time
from collections.abc import Iterable

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
WINDOW_PATTERN = "L"  # per block, repeated: "L" full context, "S" half of it; "SL", "SSL", "SSSL", "S"
QK_NORM = False  # normalise queries and keys of each head
VALUE_EMBEDDINGS = False  # every other block adds a token embedding to its values
SOFTCAP = 0.0  # logits squashed into ±SOFTCAP; 0 = off, typical 15
INIT_STD = 0.02  # spread of the initial weights

# Optimisation
TOKENS_PER_STEP = 4096  # tokens per optimizer step
MATRIX_OPTIMIZER = "adamw"  # of the blocks' matrices: "adamw" or "muon"
MATRIX_LR = 0.001  # blocks' matrices under AdamW
MUON_LR = 0.02  # blocks' matrices under Muon
EMBEDDING_LR = 0.003  # token and value embeddings
UNEMBEDDING_LR = 0.003  # output head
SCALAR_LR = 0.003  # norms and other vectors
WEIGHT_DECAY = 0.1  # decoupled, matrices only
ADAM_BETA1 = 0.9
ADAM_BETA2 = 0.95
MUON_MOMENTUM = 0.95
GRAD_CLIP = 1.0  # largest gradient norm; 0 = off

# Schedule, in fractions of the training budget
WARMUP = 0.0  # learning rate rises from 0
WARMDOWN = 0.1  # learning rate falls to FINAL_LR
FINAL_LR = 0.0  # in fractions of the peak

# Machine: these change speed and memory, not the research
THREADS = 1  # CPU only: a slot of the lab is one core
COMPILE = False  # pays where runs last minutes; compiling happens in warm_up, off the clock
MAX_ROWS = 64  # sequences per forward pass; more of them in a step are accumulated

assert N_EMBD % (2 * N_HEAD) == 0, "a head needs an even, whole share of N_EMBD"
assert DEPTH >= 1 and MLP_RATIO >= 1 and TOKENS_PER_STEP >= 1
assert WARMUP >= 0 and WARMDOWN >= 0 and WARMUP + WARMDOWN <= 1, "the schedule has one budget to share"

# ----------------------------------------------------------------------------------------------------------
# Model
# ----------------------------------------------------------------------------------------------------------


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions: turn the halves of each head by its position's angles. x: (B, H, T, D)."""
    left, right = x.chunk(2, dim=-1)
    return torch.cat((left * cos - right * sin, left * sin + right * cos), dim=-1)


class Attention(nn.Module):
    """Causal self-attention over the full context, or over a window of half of it."""

    mask: Tensor

    def __init__(self, layer: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(N_EMBD, 3 * N_EMBD, bias=False)
        self.out = nn.Linear(N_EMBD, N_EMBD, bias=False)
        has_values = VALUE_EMBEDDINGS and layer % 2 == (DEPTH - 1) % 2
        self.value_embedding = nn.Embedding(prepare.vocab_size, N_EMBD) if has_values else None
        self.windowed = WINDOW_PATTERN[layer % len(WINDOW_PATTERN)] == "S"
        position = torch.arange(prepare.sequence_length)
        distance = position[:, None] - position[None, :]
        self.register_buffer(
            "mask", (distance >= 0) & (distance < prepare.sequence_length // 2), persistent=False
        )

    def forward(self, x: Tensor, tokens: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        B, T, C = x.shape
        q, k, v = self.qkv(x).split(C, dim=-1)
        if self.value_embedding is not None:
            v = v + self.value_embedding(tokens)
        q, k, v = (part.view(B, T, N_HEAD, C // N_HEAD).transpose(1, 2) for part in (q, k, v))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if QK_NORM:
            q, k = F.rms_norm(q, (q.size(-1),)), F.rms_norm(k, (k.size(-1),))
        mask = self.mask[:T, :T] if self.windowed else None
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.out(y.transpose(1, 2).reshape(B, T, C))


class MLP(nn.Module):
    """Two linear maps with a bend between them."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(N_EMBD, MLP_RATIO * N_EMBD, bias=False)
        self.down = nn.Linear(MLP_RATIO * N_EMBD, N_EMBD, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(x)
        x = F.gelu(x)
        return self.down(x)


class Block(nn.Module):
    """Attention, then MLP, each on a normalised copy of the residual stream (pre-norm)."""

    def __init__(self, layer: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(N_EMBD)
        self.attention = Attention(layer)
        self.mlp_norm = nn.LayerNorm(N_EMBD)
        self.mlp = MLP()

    def forward(self, x: Tensor, tokens: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
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
        self.final_norm = nn.LayerNorm(N_EMBD)
        self.head = nn.Linear(N_EMBD, prepare.vocab_size, bias=False)
        half = N_EMBD // N_HEAD // 2
        wavelengths = ROPE_BASE ** (torch.arange(half) / half)
        angles = torch.arange(prepare.sequence_length)[:, None] / wavelengths
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self.apply(self.init_weights)

    def init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=INIT_STD)

    def forward(self, tokens: Tensor) -> Tensor:
        T = tokens.size(1)
        cos, sin = self.cos[:T], self.sin[:T]
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, tokens, cos, sin)
        logits: Tensor = self.head(self.final_norm(x)).float()
        if SOFTCAP:
            logits = SOFTCAP * torch.tanh(logits / SOFTCAP)
        return logits


# ----------------------------------------------------------------------------------------------------------
# Optimizers
# ----------------------------------------------------------------------------------------------------------


def orthogonalise(G: Tensor, steps: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrix, roughly, by Newton-Schulz. G: (matrices, rows, columns)."""
    X = G.bfloat16() if G.is_cuda else G
    tall = X.size(-2) > X.size(-1)
    X = X.mT if tall else X
    X = X / (X.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        A = X @ X.mT
        X = 3.4445 * X + (-4.7750 * A + 2.0315 * A @ A) @ X
    return (X.mT if tall else X).to(G.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised: every direction of a matrix moves alike (Keller Jordan, 2024)."""

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, momentum: float, weight_decay: float
    ) -> None:
        super().__init__(list(params), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    shapes.setdefault(p.shape, []).append(p)
            for same in shapes.values():  # one stacked iteration per shape: far fewer small products
                self.step_stacked(same, group)

    def step_stacked(self, params: list[nn.Parameter], group: dict[str, float]) -> None:
        for p in params:
            buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
            buffer.lerp_(p.grad, 1 - group["momentum"])
        nesterov = [p.grad.lerp(self.state[p]["momentum"], group["momentum"]) for p in params]  # type: ignore[union-attr]
        scale = max(1.0, params[0].size(-2) / params[0].size(-1)) ** 0.5
        for p, update in zip(params, orthogonalise(torch.stack(nesterov)), strict=True):
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(update, alpha=-group["lr"] * scale)


def build_optimizers(model: nn.Module) -> list[torch.optim.Optimizer]:
    """One group per kind of parameter, each with its own learning rate."""
    kinds: dict[str, list[nn.Parameter]] = {"embedding": [], "head": [], "scalar": [], "matrix": []}
    for name, parameter in model.named_parameters():
        if "embedding" in name:
            kinds["embedding"].append(parameter)
        elif name.startswith("head."):
            kinds["head"].append(parameter)
        else:
            kinds["scalar" if parameter.ndim < 2 else "matrix"].append(parameter)
    groups = [
        {"params": kinds["embedding"], "lr": EMBEDDING_LR, "weight_decay": 0.0},
        {"params": kinds["head"], "lr": UNEMBEDDING_LR, "weight_decay": 0.0},
        {"params": kinds["scalar"], "lr": SCALAR_LR, "weight_decay": 0.0},
    ]
    optimizers: list[torch.optim.Optimizer] = []
    if MATRIX_OPTIMIZER == "muon":
        optimizers.append(Muon(kinds["matrix"], MUON_LR, MUON_MOMENTUM, WEIGHT_DECAY))
    else:
        groups.append({"params": kinds["matrix"], "lr": MATRIX_LR, "weight_decay": WEIGHT_DECAY})
    groups = [group for group in groups if group["params"]]
    optimizers.append(torch.optim.AdamW(groups, betas=(ADAM_BETA1, ADAM_BETA2), eps=1e-8, fused=True))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
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
    """Mean cross-entropy in nats per token; bf16 matrix products where the device is fast at them."""
    mixed = torch.autocast("cuda", torch.bfloat16) if x.is_cuda else contextlib.nullcontext()
    with mixed:
        logits = model(x)
    return F.cross_entropy(logits.flatten(0, 1), y.flatten())


def update(model: nn.Module, optimizers: list[torch.optim.Optimizer], scale: float) -> None:
    """One step of every optimizer at `scale` times its peak learning rate, on the gathered gradients."""
    if GRAD_CLIP:
        nn.utils.clip_grad_norm_(model.parameters(), GRAD_CLIP)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * scale
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


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


def main() -> None:
    """Train until the referee's batches end, then hand the model over."""
    torch.manual_seed(prepare.seed)
    if prepare.device == "cpu":
        torch.set_num_threads(THREADS)
    torch.set_float32_matmul_precision("high")
    model = GPT().to(prepare.device)
    optimizers = build_optimizers(model)
    compute_loss = torch.compile(loss_of) if COMPILE else loss_of
    if COMPILE:
        prepare.warm_up(model, lambda copy, x, y: compute_loss(copy, x, y).backward(), batch_rows())

    progress = ProgressLine()
    passes = accumulated_passes()
    for batch, (x, y) in enumerate(stream := prepare.batches(batch_rows()), start=1):
        loss = compute_loss(model, x, y)
        (loss / passes).backward()
        progress.tokens += x.numel()
        if batch % passes == 0:
            update(model, optimizers, learning_rate_scale(stream.fraction))
            prepare.watch(loss)
            progress.advance(batch // passes, stream.fraction, loss.detach())
    progress.close()
    prepare.finish(model)


if __name__ == "__main__":
    main()
