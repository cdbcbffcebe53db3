"""The upstream recipe as one would write it down for a CPU: one module a matrix, one product an idea, fp32.

RMS norm without weights, rotary positions, normalised queries and keys, gated value embeddings in every other
block, ReLU², learned shares of stream and embedding, soft-capped logits; Adam for tables, head and scalars, Muon
with per-row scaling for the matrices, stacked by shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - as everybody writes it
from torch import Tensor, nn

SOFTCAP = 15.0
QUINTICS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a model."""

    vocabulary: int
    depth: int
    width: int
    heads: int
    context: int
    short_window: int  # positions; every fourth block sees the whole context


def norm(x: Tensor) -> Tensor:
    """RMS norm without weights."""
    return F.rms_norm(x, (x.size(-1),))


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions. x: (B, T, H, D)."""
    half = x.size(-1) // 2
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Block(nn.Module):
    """Attention and MLP."""

    def __init__(self, shape: Shape, layer: int) -> None:
        super().__init__()
        width = shape.width
        self.shape, self.short = shape, layer % 4 != 3
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        self.values = nn.Embedding(shape.vocabulary, width) if layer % 2 == (shape.depth - 1) % 2 else None
        self.gate = nn.Linear(32, shape.heads, bias=False) if self.values is not None else None

    def attend(self, x: Tensor, tokens: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """The attention of a normalised stream."""
        rows, length, width = x.shape
        split = (rows, length, self.shape.heads, width // self.shape.heads)
        q, k, v = self.q(x).view(split), self.k(x).view(split), self.v(x).view(split)
        if self.values is not None and self.gate is not None:
            gate = 2 * torch.sigmoid(self.gate(x[..., :32]))
            v = v + gate[..., None] * self.values(tokens).view(split)
        q, k = norm(turn(q, cos, sin)), norm(turn(k, cos, sin))
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        if self.short:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        else:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        mixed: Tensor = self.o(y.transpose(1, 2).reshape(rows, length, width))
        return mixed

    def forward(self, x: Tensor, tokens: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """The stream after this block."""
        x = x + self.attend(norm(x), tokens, cos, sin, mask)
        added: Tensor = self.down(F.relu(self.up(norm(x))).square())
        return x + added


class PlainGPT(nn.Module):
    """Tokens (B, T) to the mean loss in nats."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.table = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape, layer) for layer in range(shape.depth))
        self.head = nn.Linear(shape.width, shape.vocabulary, bias=False)
        self.keep = nn.Parameter(torch.ones(shape.depth))
        self.recall = nn.Parameter(torch.full((shape.depth,), 0.1))
        half = shape.width // shape.heads // 2
        angles = torch.arange(shape.context)[:, None] / 10000 ** (torch.arange(half) / half)
        self.cos, self.sin = angles.cos()[:, None], angles.sin()[:, None]
        away = torch.arange(shape.context)[:, None] - torch.arange(shape.context)[None]
        self.mask = (away >= 0) & (away < shape.short_window)
        for name, weight in self.named_parameters():
            if name.endswith(("o.weight", "down.weight", "gate.weight")):
                nn.init.zeros_(weight)
            elif weight.ndim == 2 and "table" not in name:
                nn.init.normal_(weight, std=0.001 if "head" in name else shape.width**-0.5)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """The loss."""
        x = start = norm(self.table(tokens))
        for block, keep, recall in zip(self.blocks, self.keep, self.recall, strict=True):
            x = block(keep * x + recall * start, tokens, self.cos, self.sin, self.mask)
        logits = SOFTCAP * torch.tanh(self.head(norm(x)).float() / SOFTCAP)
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.reshape(-1))


class PlainOptimizer:
    """Adam for what is no matrix of a block, Muon for what is."""

    def __init__(self, model: PlainGPT) -> None:
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        is_matrix = {name: "blocks" in name and p.ndim == 2 and "values" not in name for name, p in named}
        others = [p for name, p in named if not is_matrix[name]]
        self.adam = torch.optim.AdamW(others, lr=0.01, betas=(0.8, 0.95), eps=1e-10, fused=True)
        self.stacks: dict[torch.Size, list[nn.Parameter]] = {}
        for name, p in named:
            if is_matrix[name]:
                self.stacks.setdefault(p.shape, []).append(p)
        self.momenta = {shape: torch.zeros(len(ps), *shape) for shape, ps in self.stacks.items()}
        self.sizes: dict[torch.Size, Tensor] = {}

    @torch.no_grad()
    def step(self) -> None:
        """Move all weights, and forget the gradients."""
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        for shape, stack in self.stacks.items():
            with_grad = [p for p in stack if p.grad is not None]
            grads = torch.stack([p.grad if p.grad is not None else torch.zeros_like(p) for p in stack])
            momentum = self.momenta[shape].lerp_(grads, 0.05)
            moves = self.scaled(shape, self.orthogonal(grads.lerp(momentum, 0.95)))
            weights = torch.stack(list(stack))
            weights -= 0.02 * max(1.0, shape[0] / shape[1]) ** 0.5 * moves
            weights -= 0.02 * 0.2 * weights * (moves * weights >= 0)
            for p, new in zip(stack, weights, strict=True):
                p.copy_(new)
            for p in with_grad:
                p.grad = None

    def scaled(self, shape: torch.Size, moves: Tensor) -> Tensor:
        """Each row by its running size, the whole at its old norm."""
        axis = -1 if shape[0] >= shape[1] else -2
        found = moves.square().mean(axis, keepdim=True)
        size = self.sizes.setdefault(shape, torch.zeros_like(found)).lerp_(found, 0.05)
        evened = moves * size.clamp_min(1e-10).rsqrt()
        old, new = (each.norm(dim=(-2, -1), keepdim=True) for each in (moves, evened))
        result: Tensor = evened * (old / new.clamp_min(1e-10))
        return result

    def orthogonal(self, x: Tensor) -> Tensor:
        """Nearly orthogonal matrices, by five quintic steps."""
        x = x / (1.02 * x.norm(dim=(-2, -1), keepdim=True) + 1e-6)
        tall = x.size(-2) > x.size(-1)
        x = x.mT if tall else x
        for a, b, c in QUINTICS:
            square = x @ x.mT
            x = a * x + (b * square + c * (square @ square)) @ x
        return x.mT if tall else x
