"""Every rule of the audit sees its example, and honest code is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.audit.audit import audit
from supervisor.audit.rules import RULES, AuditRule, Ground

CANVAS = "training/train.py"
EXAMPLES = {
    Ground.REFEREE: "import prepare\nrun = prepare.this_run()",
    Ground.IMPORT: "import webbrowser",
    Ground.FILES: "text = open('val.bin', 'rb').read()",
    Ground.EXEC: "exec('x = 1')",
    Ground.PROCESS: "import threading",
    Ground.NETWORK: "import socket",
    Ground.NATIVE: "import ctypes",
    Ground.METRIC: "print('val_bpb: 0.5')",
    Ground.SEEDS: "import torch\ntorch.manual_seed(3)",
    Ground.CLOCK: "import time\ntime.sleep(1)",
    Ground.PATCHED: "import torch.nn.functional as F\nF.cross_entropy = None",
    Ground.BEFORE_CLOCK: "import prepare\nloss.backward()\nfor x, y in prepare.batches(1):\n    pass",
    Ground.AFTER_CLOCK: "import prepare\nfor x, y in prepare.batches(1):\n    pass\nloss.backward()",
    Ground.BATCHES: "import prepare\na = prepare.batches(1)\nb = prepare.batches(1)",
    Ground.EVALUATION: "class M:\n    def forward(self, x):\n        return x if x.shape[0] == 16 else -x",
    Ground.DATA: "TABLE = " + repr("x" * 3000),
}
REAL = (Path(__file__).parents[3] / CANVAS).read_text()


def grounds(after: str, before: str = "", has_referee: bool = True) -> set[str]:
    flags = audit({CANVAS: before}, {CANVAS: after}, has_referee=has_referee, metric="val_bpb")
    return {flag.rule for flag in flags}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.ground.value)
def test_each_rule_sees_its_example(rule: AuditRule) -> None:
    example = EXAMPLES[rule.ground]
    assert rule.ground.value in grounds(example)
    assert grounds(example, example) == set()  # the person's own code is trusted


def test_the_rules_are_all_there() -> None:
    assert {rule.ground for rule in RULES} == set(Ground)


def test_the_canvas_itself_is_known() -> None:
    assert grounds(REAL, REAL) == set()


def test_a_flag_names_the_line() -> None:
    after = REAL.replace("import math\n", "import math\nimport socket\n", 1)
    (flag,) = audit({CANVAS: REAL}, {CANVAS: after}, has_referee=True, metric="val_bpb")
    assert flag.line is not None
    assert after.splitlines()[flag.line - 1] == flag.excerpt == "import socket"
    assert "imports socket" in flag.detail


@pytest.mark.parametrize(
    "line",
    [
        "import prepare as p\np.evaluate_bpb = lambda m: 0.5",
        "from prepare import this_run",
        "import prepare\nsteal(prepare)",
        "import prepare\nfor x, y in (s := prepare.batches(1)):\n    s._run = 1",
        "import torch\nmodule = torch.os",
        "import torch\nx = torch.load('w.pt')",
        "import numpy as np\nx = np.fromfile('val.bin')",
        "import numpy as np\nx = np.memmap('val.bin')",
        "from torch import hub",
        "import torch.utils.data",
        "x = getattr(thing, name)",
        "f = getattr",
        "x = ().__class__.__mro__",
        "x = 'a.__globals__'",
        "import sys\nm = sys.modules['prepare']",
        "import sys\nf = sys._getframe()",
        "__builtins__['open']",
        "import torch\ntorch.manual_seed(prepare_seed + 1)",
        "import torch\ng = torch.Generator()",
        "import torch\ntorch.Tensor.float = None",
        "import torch\nsetattr(torch, 'zeros', None)",
        "import torch\nclass T(torch.Tensor):\n    pass",
        "class M:\n    def named_parameters(self):\n        return []",
        "class M:\n    def __torch_function__(self):\n        pass",
        "def train(model):\n    pass\nmodel.eval = train",
        "class M:\n    def forward(self, x):\n        self.seen = x\n        return x",
        "SEEN = {}\nclass M:\n    def forward(self, x):\n        SEEN[0] = x\n        return x",
        "SEEN = []\nclass M:\n    def forward(self, x):\n        SEEN.append(x)\n        return x",
        "class M:\n    def forward(self, x):\n        B, T = x.shape\n        return x if B != 8 else -x",
        "import torch\nif torch.is_inference_mode_enabled():\n    pass",
        "import os",
        "from . import neighbour",
        "import triton",
        "import base64",
        "X = [" + "1.5, " * 300 + "]",
        "X = " + str(7**300),
        "\n".join(f"A{n} = 'some text that is rather long, and another {n}'" for n in range(60)),
        "x = type('M', (), {})",
    ],
)  # fmt: skip
def test_ways_round_are_seen(line: str) -> None:
    assert grounds(line)


@pytest.mark.parametrize(
    "line",
    [
        "import torch\nfrom torch import nn\nimport torch.nn.functional as F\nx = F.relu(nn.Linear(1, 1)(y))",
        "import torch\ntorch.backends.cuda.matmul.allow_tf32 = True",
        "import torch\ntorch._foreach_add_([], [])",
        "import torch._dynamo\ntorch._dynamo.config.cache_size_limit = 64",
        "import prepare\nimport torch\ntorch.manual_seed(prepare.seed + 1)",
        "import prepare\nfor x, y in (s := prepare.batches(1)):\n    print(s.fraction, s.tokens)",
        "import time\nbegan = time.perf_counter()",
        "class M:\n    def forward(self, x):\n        B, T = x.shape\n        return x[:, -1] if T == 1 else x",
        "class M:\n    def __init__(self):\n        self._x = {}\n    def forward(self, x):\n        return x",
        "class M:\n    def forward(self, x):\n        if self.training:\n            self.loss = x\n        return x",
        "from torch.nn.attention.flex_attention import flex_attention",
        "class Lion:\n    def step(self):\n        self.state = 1",
        "import copy, math, random\nfrom collections import deque",
    ],
)  # fmt: skip
def test_honest_lines_are_not(line: str) -> None:
    assert grounds(line) == set()


def test_in_a_foreign_lab_what_is_new_of_its_prepare_is_flagged() -> None:
    base = "from prepare import evaluate\nprint(f'val_bpb: {evaluate(1):.6f}')"
    assert grounds(base, base, has_referee=False) == set()
    assert grounds(f"{base}\nfrom prepare import VAL", base, has_referee=False) == {"referee-internals"}
    assert grounds(f"{base}\nevaluate = None", base, has_referee=False) == {"patched"}
    assert grounds(base.replace("(1)", "(1) / 2"), base, has_referee=False) == {"prints-a-metric"}
    assert "patched" in grounds("import prepare\nprepare.evaluate = 1", has_referee=False)


def test_what_does_not_parse_is_the_guards() -> None:
    assert grounds("def f(") == set()
    assert grounds("x = " + "(" * 5000) == set()
