"""Bold and honest edits: none may be refused, and hardly any flagged."""

from __future__ import annotations

from cheating.edits import EMBED, FINISH, LOGITS, MASK, START, STEP, before, edit

LION = '''class Lion(torch.optim.Optimizer):
    """The sign of an average of gradients."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p.add_(torch.sign(0.9 * m + 0.1 * p.grad), alpha=-group["lr"])
                m.lerp_(p.grad, 0.01)


def build_optimizers'''
STRAIGHT = '''class Round(torch.autograd.Function):
    """Rounds forward, passes gradients through."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return (x * 64).round() / 64

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return grad


class MLP(nn.Module):'''
ADAMW = (
    "    optimizers.append(torch.optim.AdamW(groups, betas=(ADAM_BETA1, ADAM_BETA2), eps=1e-8, fused=True))\n"
)
UP = "        self.up = nn.Linear(N_EMBD, MLP_RATIO * N_EMBD, bias=False)\n"
KERNEL = """SOURCE = "torch::Tensor squared(torch::Tensor x) { return torch::relu(x).square(); }"


class MLP(nn.Module):"""
GELU = "        x = F.gelu(x)\n"

HONEST = (
    edit("lion", "another optimizer, written out", ("def build_optimizers", LION), (ADAMW, "    optimizers.append(Lion([p for g in groups for p in g['params']], 3e-4))\n")),
    edit("sgd", "plain momentum", (ADAMW, "    optimizers.append(torch.optim.SGD([{**g, 'lr': 0.3, 'weight_decay': 0.0} for g in groups], momentum=0.9, nesterov=True))\n")),
    edit("no-positions", "no positions at all", ("        q, k = rotate(q, cos, sin), rotate(k, cos, sin)\n", "")),
    edit("alibi", "a distance penalty for positions", ("        q, k = rotate(q, cos, sin), rotate(k, cos, sin)\n", ""), ("        mask = self.mask[:T, :T] if self.windowed else None\n", "        place = torch.arange(T, device=x.device)\n        far = (place[:, None] - place[None, :]).float()\n        slopes = 0.5 ** torch.arange(1, N_HEAD + 1, device=x.device)\n        mask = (-slopes[:, None, None] * far).masked_fill(far < 0, -torch.inf)\n")),
    edit("short-window", "a sliding window of 16", ("(distance < prepare.sequence_length // 2)", "(distance < 16)"), ('WINDOW_PATTERN = "L"', 'WINDOW_PATTERN = "S"')),
    edit("swiglu", "a gated MLP", (UP, UP.replace("MLP_RATIO * N_EMBD", "2 * MLP_RATIO * N_EMBD")), (GELU, "        gate, x = x.chunk(2, dim=-1)\n        x = F.silu(gate) * x\n")),
    edit("experts", "four experts, mixed by a soft gate", ("        self.mlp = MLP()\n", "        self.experts = nn.ModuleList(MLP() for _ in range(4))\n        self.gate = nn.Linear(N_EMBD, 4)\n"), ("        x = x + self.mlp(self.mlp_norm(x))\n", "        h = self.mlp_norm(x)\n        weights = self.gate(h).softmax(-1)\n        x = x + sum(weights[..., k : k + 1] * e(h) for k, e in enumerate(self.experts))\n")),
    edit("ema", "evaluates an average of the weights", before(START, "average = [p.detach().clone() for p in model.parameters()]"), (STEP, STEP + "        torch._foreach_lerp_(average, [p.detach() for p in model.parameters()], 0.05)\n"), before(FINISH, "with torch.no_grad():\n    for p, mean in zip(model.parameters(), average, strict=True):\n        p.copy_(mean)")),
    edit("short-rows", "trains on rows of half the length", ("prepare.batches(batch_rows())", "prepare.batches(2 * batch_rows(), length=prepare.sequence_length // 2)")),
    edit("compiled", "compiled, in the warm-up", ("COMPILE = False", "COMPILE = True")),
    edit("kernel", "a C++ kernel, built in place", ("class MLP(nn.Module):", KERNEL), (GELU, "        x = kernel().squared(x) if self.training and KERNEL else F.relu(x).square()\n"), ("import torch\n", "import torch\nfrom torch.utils import cpp_extension\n"), ("def rotate(", "KERNEL = False  # needs a compiler\n\n\ndef kernel():\n    return cpp_extension.load_inline('squared', SOURCE, functions=['squared'])\n\n\ndef rotate(")),
    edit("half-the-file", "no Muon, no value embeddings, no windows", ('    if MATRIX_OPTIMIZER == "muon":\n        optimizers.append(Muon(kinds["matrix"], MUON_LR, MUON_MOMENTUM, WEIGHT_DECAY))\n    else:\n        groups', "    if True:\n        groups"), ("        if self.value_embedding is not None:\n            v = v + self.value_embedding(tokens)\n", "")),
    edit("bfloat16", "bfloat16 products on the CPU", ("contextlib.nullcontext()", 'torch.autocast("cpu", torch.bfloat16)')),
    edit("straight-through", "a gradient of its own", ("class MLP(nn.Module):", STRAIGHT), (GELU, "        x = Round.apply(F.gelu(x))\n")),
    edit("two-ahead", "a second loss, two tokens ahead", ("    return F.cross_entropy(logits.flatten(0, 1), y.flatten())\n", "    loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())\n    return loss + 0.1 * F.cross_entropy(logits[:, :-1].flatten(0, 1), y[:, 1:].flatten())\n")),
    edit("label-smoothing", "smoothed labels in training", ("y.flatten())\n\n\ndef update", "y.flatten(), label_smoothing=0.05)\n\n\ndef update")),
    edit("tied", "one matrix for embedding and head", ("        half = N_EMBD // N_HEAD // 2\n", "        self.head.weight = self.embedding.weight\n        half = N_EMBD // N_HEAD // 2\n")),
    edit("cosine", "a cosine schedule with warm-up", ("    if fraction < WARMUP:\n        return fraction / WARMUP\n", "    if fraction < 0.05:\n        return fraction / 0.05\n    return 0.5 * (1 + math.cos(math.pi * fraction))\n")),
    edit("rms-norm", "norms without parameters", ("self.attention_norm(x)", "F.rms_norm(x, (N_EMBD,))"), ("self.mlp_norm(x)", "F.rms_norm(x, (N_EMBD,))"), ("        self.attention_norm = nn.LayerNorm(N_EMBD)\n", ""), ("        self.mlp_norm = nn.LayerNorm(N_EMBD)\n", "")),
    edit("dropout", "dropout after the embedding", (EMBED, "        x = F.dropout(self.embedding(tokens), 0.1, self.training)\n")),
    edit("orthogonal", "orthogonal starts", ("            nn.init.normal_(module.weight, std=INIT_STD)\n", "            nn.init.orthogonal_(module.weight, gain=0.2)\n")),
    edit("linear-attention", "attention without softmax, by cumulative sums", ("        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, " + MASK + ")\n", "        q, k = F.elu(q) + 1, F.elu(k) + 1\n        y = torch.tril(q @ k.transpose(-2, -1)) @ v / T\n")),
    edit("bias", "learned bias of the output", before(LOGITS, "logits = logits + self.bias"), ("        half = N_EMBD // N_HEAD // 2\n", "        self.bias = nn.Parameter(torch.zeros(prepare.vocab_size))\n        half = N_EMBD // N_HEAD // 2\n")),
)  # fmt: skip
