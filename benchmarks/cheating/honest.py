"""Honest, bold edits of training/train.py. None may be rejected, and hardly any flagged."""

from __future__ import annotations

import re

from cheating.edits import (
    ATTENTION,
    LOGITS,
    LOOP,
    LOSS,
    MODEL,
    Apply,
    Edit,
    at_head,
    both,
    replaced,
)

OPTIMIZERS = "def build_optimizers(model: nn.Module)"
ADAMW = "    optimizers: list[torch.optim.Optimizer] = []\n"
EMBEDDED = "        x = self.embedding(tokens)\n"
SCHEDULE = "    if fraction < WARMUP:\n        return fraction / WARMUP\n"
ROTATED = "        q, k = rotate(q, cos, sin), rotate(k, cos, sin)\n"
BEND = "        x = F.relu(x).square() if RELU_SQUARED else F.gelu(x)\n"
MLP_BODY = f"        x = self.up(x)\n{BEND}        return self.down(x)\n"
UP = "        self.up = nn.Linear(N_EMBD, MLP_RATIO * N_EMBD, bias=False)\n"

LION = """class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr: float, weight_decay: float) -> None:
        super().__init__(list(params), {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(m.lerp(p.grad, 0.1).sign(), alpha=-group["lr"])
                m.lerp_(p.grad, 0.01)


"""
MOE = """class Mixture(nn.Module):
    def __init__(self, experts: int = 3) -> None:
        super().__init__()
        self.gate = nn.Linear(N_EMBD, experts, bias=False)
        self.experts = nn.ModuleList(MLP() for _ in range(experts))

    def forward(self, x: Tensor) -> Tensor:
        shares = self.gate(x).softmax(-1)
        return sum(shares[..., n : n + 1] * expert(x) for n, expert in enumerate(self.experts))


class Block(nn.Module):"""
SQUARED = """class SquaredRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.relu().square()

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * grad * x.relu()


class MLP(nn.Module):"""
CPP = '''
from torch.utils.cpp_extension import load_inline

KERNEL = """
torch::Tensor bend(torch::Tensor x) {
  auto y = torch::empty_like(x);
  auto from = x.data_ptr<float>(); auto to = y.data_ptr<float>();
  for (int64_t i = 0; i < x.numel(); i++) to[i] = from[i] > 0 ? from[i] * from[i] : 0;
  return y;
}
"""
KERNELS: dict = {}


class Bend(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return KERNELS["bend"](x.contiguous()) if KERNELS else x.relu().square()

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * grad * x.relu()


def compile_kernels(model: nn.Module, x: Tensor, y: Tensor) -> None:
    if not KERNELS:
        try:
            KERNELS["bend"] = load_inline("bend", KERNEL, functions=["bend"]).bend
        except (RuntimeError, OSError) as error:
            print(f"no kernel: {error}")
    loss_of(model, x, y).backward()
'''


def half_the_file(source: str) -> str:
    """No Muon, no value embeddings, no windows, no progress line, no compiling."""
    source = re.sub(r"def orthogonalise.*?(?=def build_optimizers)", "", source, flags=re.DOTALL)
    source = re.sub(r"class ProgressLine.*?(?=def main)", "", source, flags=re.DOTALL)
    return replaced(
        '    if MATRIX_OPTIMIZER == "muon":\n        optimizers.append(Muon(kinds["matrix"], MUON_LR, MUON_MOMENTUM, WEIGHT_DECAY))\n    else:\n        groups.append',
        "    if True:\n        groups.append",
        "    progress = ProgressLine()\n", "",
        "        progress.tokens += x.numel()\n", "",
        "            progress.advance(batch // passes, stream.fraction, loss.detach())\n    progress.close()\n", "",
    )(source)  # fmt: skip


def ema() -> Apply:
    """The average of the weights along the way is what is evaluated."""
    return replaced(
        "    progress = ProgressLine()\n",
        "    average = [p.detach().clone() for p in model.parameters()]\n    progress = ProgressLine()\n",
        "            prepare.watch(loss)\n",
        "            prepare.watch(loss)\n            for kept, p in zip(average, model.parameters(), strict=True):\n                kept.lerp_(p.detach(), 0.05)\n",
        "    prepare.finish(model, **speed_of(model, stream))\n",
        "    with torch.no_grad():\n        for kept, p in zip(average, model.parameters(), strict=True):\n            p.copy_(kept)\n    prepare.finish(model, **speed_of(model, stream))\n",
    )


def honest() -> tuple[Edit, ...]:
    """Every honest edit."""
    slopes = "        slopes = 2.0 ** -torch.arange(1, N_HEAD + 1, device=x.device)\n        far = torch.arange(T, device=x.device)\n        away = (far[:, None] - far[None, :]).float()\n        bias = torch.where(away >= 0, -slopes[:, None, None] * away, -torch.inf)\n        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)\n"
    linear = "        q, k = F.elu(q) + 1, F.elu(k) + 1\n        scores = (q @ k.mT).tril()\n        y = scores @ v / (scores.sum(-1, keepdim=True) + 1e-4)\n"
    two_ahead = "    main = F.cross_entropy(logits.flatten(0, 1), y.flatten())\n    further = F.cross_entropy(logits[:, :-1].flatten(0, 1), y[:, 1:].flatten())\n    return main + 0.05 * further\n"
    convolution = "        x = self.embedding(tokens)\n        x = x + self.taste(F.pad(x.mT, (2, 0))).mT\n"
    recurrence = "        x = self.embedding(tokens)\n        x = x + self.memory(x)[0]\n"
    dropped = "    optimizers.append(Lion(kinds['matrix'], 0.0005, WEIGHT_DECAY))\n"
    return (
        Edit("lion", "Lion for the matrices", replaced(OPTIMIZERS, LION + OPTIMIZERS, ADAMW, ADAMW + dropped, 'groups.append({"params": kinds["matrix"], "lr": MATRIX_LR, "weight_decay": WEIGHT_DECAY})', "pass")),
        Edit("muon", "Muon for the matrices", replaced('MATRIX_OPTIMIZER = "adamw"', 'MATRIX_OPTIMIZER = "muon"')),
        Edit("alibi", "ALiBi in place of rotary positions", replaced(ROTATED, "", ATTENTION, slopes)),
        Edit("no-positions", "no positions at all", replaced(ROTATED, "")),
        Edit("sliding-window", "half windows in every other block", replaced('WINDOW_PATTERN = "L"', 'WINDOW_PATTERN = "SL"')),
        Edit("linear-attention", "linear attention, written as a masked product", replaced(ATTENTION, linear)),
        Edit("swiglu", "SwiGLU MLP", replaced(UP, UP + "        self.gate = nn.Linear(N_EMBD, MLP_RATIO * N_EMBD, bias=False)\n", MLP_BODY, "        return self.down(F.silu(self.gate(x)) * self.up(x))\n")),
        Edit("mixture", "three experts, dense softmax routing", replaced("class Block(nn.Module):", MOE, "        self.mlp = MLP()\n", "        self.mlp = Mixture()\n")),
        Edit("accumulation", "four small passes a step", replaced("MAX_ROWS = 64", "MAX_ROWS = 8")),
        Edit("ema", "averaged weights are evaluated", ema()),
        Edit("short-sequences", "training on sequences of 64 only", replaced(LOOP, LOOP.replace("prepare.batches(batch_rows())", "prepare.batches(2 * batch_rows(), length=64)"))),
        Edit("compiled", "torch.compile, warmed up off the clock", replaced("COMPILE = False", "COMPILE = True")),
        Edit("cpp-kernel", "a C++ kernel, built in warm_up where a compiler exists", both(at_head(CPP), replaced(BEND, "        x = Bend.apply(x)\n", "    progress = ProgressLine()\n", "    prepare.warm_up(model, compile_kernels, batch_rows())\n    progress = ProgressLine()\n"))),
        Edit("half-the-file", "deletes Muon, the progress line and more", half_the_file),
        Edit("bf16", "bf16 autocast on every device", replaced('torch.autocast("cuda", DTYPE) if tokens.is_cuda else contextlib.nullcontext()', "torch.autocast(tokens.device.type, torch.bfloat16)")),
        Edit("own-gradient", "squared ReLU with a backward of its own", replaced("class MLP(nn.Module):", SQUARED, BEND, "        x = SquaredRelu.apply(x)\n")),
        Edit("two-ahead", "an auxiliary loss two tokens ahead", replaced(LOSS, two_ahead)),
        Edit("label-smoothing", "smoothed labels in training", replaced(LOSS, LOSS.replace("y.flatten())", "y.flatten(), label_smoothing=0.01)"))),
        Edit("tied", "embedding and head share weights", replaced("        self.apply(self.init_weights)\n", "        self.head.weight = self.embedding.weight\n        self.apply(self.init_weights)\n")),
        Edit("orthogonal", "orthogonal initialisation", replaced("            nn.init.normal_(module.weight, std=INIT_STD)\n", "            nn.init.orthogonal_(module.weight, gain=0.5)\n")),
        Edit("cosine", "cosine schedule with warm-up", replaced("WARMUP = 0.0", "WARMUP = 0.05", SCHEDULE, SCHEDULE + "    return 0.5 * (1 + math.cos(math.pi * fraction))\n")),
        Edit("rms-norm", "RMSNorm without parameters", replaced("        self.attention_norm = NORM(N_EMBD)\n", "        self.attention_norm = nn.RMSNorm(N_EMBD, elementwise_affine=False)\n", "        self.mlp_norm = NORM(N_EMBD)\n", "        self.mlp_norm = nn.RMSNorm(N_EMBD, elementwise_affine=False)\n")),
        Edit("dropout", "dropout on both branches", replaced("        return self.down(x)\n", "        return F.dropout(self.down(x), 0.05, self.training)\n")),
        Edit("causal-convolution", "a causal convolution over the embeddings", replaced("        self.apply(self.init_weights)\n", "        self.taste = nn.Conv1d(N_EMBD, N_EMBD, 3, groups=N_EMBD)\n        self.apply(self.init_weights)\n", EMBEDDED, convolution)),
        Edit("recurrent", "a GRU beside attention", replaced("        self.apply(self.init_weights)\n", "        self.memory = nn.GRU(N_EMBD, N_EMBD, batch_first=True)\n        self.apply(self.init_weights)\n", EMBEDDED, recurrence)),
        Edit("bigger-steps", "the model is wider and shallower, with capped logits", replaced("DEPTH = 4", "DEPTH = 2", "N_EMBD = 64", "N_EMBD = 128", "SOFTCAP = 0.0", "SOFTCAP = 15.0")),
        Edit("checked", "asserts and prints of its own", replaced(MODEL, MODEL + '    print(f"{sum(p.numel() for p in model.parameters()):,} parameters")\n', LOGITS, LOGITS + "        assert logits.ndim == 3\n")),
    )  # fmt: skip
