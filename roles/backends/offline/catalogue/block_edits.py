"""Structural edits inside a block: activation, norms, how the sublayers are joined, initial weights."""

from __future__ import annotations

import ast

from roles.backends.offline.catalogue.anchors import (
    calls,
    classes,
    method_body,
    model,
    output_projections,
    residual_steps,
    submodules,
)
from roles.backends.offline.catalogue.structural_edit import structural, switch_state, turned_on
from roles.backends.offline.source import Changes, Source

_ACTIVATION = r"(F|nn\.functional|torch\.nn\.functional)\.(gelu|relu|silu)"


def _activation(source: Source) -> tuple[ast.ClassDef, ast.Assign, ast.Call] | None:
    """`x = F.gelu(x)` in the forward of the MLP, or what the canvas's own switch makes of it."""
    for owner in classes(source):
        for node in method_body(owner, "forward"):
            if isinstance(node, ast.Assign) and (call := next(calls(node, _ACTIVATION), None)):
                return owner, node, call
    return None


@structural("squared-relu", "Squared ReLU in the MLP", "activation", prior=1.0)
def _squared_relu(source: Source) -> Changes | None:
    """ReLU² is sparse and sharp, and cheaper than GELU on a CPU (Primer)."""
    if not (activation := _activation(source)):
        return None
    _, statement, call = activation
    if "square()" in ast.unparse(statement):
        switched = switch_state(source, "RELU_SQUARED") is not None
        return turned_on(source, "RELU_SQUARED") if switched else None
    return [(source.span(call), f"F.relu({source.code(call.args[0])}).square()")]


@structural("silu", "SiLU in the MLP", "activation", prior=-0.5)
def _silu(source: Source) -> Changes | None:
    """SiLU is close to GELU and cheaper to compute."""
    if not (activation := _activation(source)) or not _is_whole(*activation[1:]):
        return None
    _, statement, call = activation
    return [(source.span(statement.value), f"F.silu({source.code(call.args[0])})")]


def _is_whole(statement: ast.Assign, call: ast.Call) -> bool:
    """Whether the statement is nothing but the activation, or a choice between two."""
    return statement.value is call or (
        isinstance(statement.value, ast.IfExp) and call in (statement.value.body, statement.value.orelse)
    )


@structural("swiglu", "Gated MLP (SwiGLU) at equal parameters", "activation", prior=0.5)
def _gated(source: Source) -> Changes | None:
    """A gate lets the MLP choose what to pass on; usually better per parameter."""
    if not (activation := _activation(source)):
        return None
    owner, statement, call = activation
    linears = submodules(owner, "Linear")
    if not _is_whole(statement, call) or len(linears) != 2:
        return None
    up, down = linears
    hidden = down.sizes[0]
    if up.sizes[1] != hidden or len(call.args) != 1:
        return None
    # Two thirds of the hidden width: parameters and compute stay as they are.
    narrow = f"2 * {hidden} // 3"
    stream = ast.unparse(statement.targets[0])
    gate = (
        f"gate, {stream} = {source.code(call.args[0])}.chunk(2, dim=-1)\n{stream} = F.silu(gate) * {stream}"
    )
    return [
        (source.span(up.call.args[1]), f"2 * ({narrow})"),
        (source.span(down.call.args[0]), narrow),
        source.replaced(statement, gate),
    ]


@structural("sandwich-norm", "Sandwich norm: normalise what each sublayer adds", "norm", prior=0.5)
def _sandwich(source: Source) -> Changes | None:
    """Bounded additions allow larger learning rates."""
    return [
        (
            source.span(step.sublayer),
            f"F.rms_norm({source.code(step.sublayer)}, ({step.stream}.size(-1),))",
        )
        for step in residual_steps(source)
    ]


@structural("post-norm", "Post-norm: normalise the stream after each sublayer", "norm", prior=-1.0)
def _post_norm(source: Source) -> Changes | None:
    """The original transformer's placement; fine at low depth, and every layer sees a scaled stream."""
    changes = []
    for step in residual_steps(source):
        sublayer = source.code(step.sublayer).replace(source.code(step.normed), step.stream, 1)
        norm = source.code(step.normed.func)
        changes.append(source.replaced(step.statement, f"{step.stream} = {norm}({step.stream} + {sublayer})"))
    return changes


@structural("parallel-block", "Attention and MLP in parallel", "shape", prior=-0.5)
def _parallel(source: Source) -> Changes | None:
    """Both read the same stream (GPT-J): shorter gradient paths, slightly less work per block."""
    steps = residual_steps(source)
    if not steps:
        return None
    first, second = steps
    both = f"{source.code(first.sublayer)} + {source.code(second.sublayer)}"
    return [
        source.replaced(first.statement, f"{first.stream} = {first.stream} + {both}"),
        (source.line_span(second.statement), ""),
    ]


@structural("rms-norm", "RMSNorm for LayerNorm", "norm", prior=-0.5, switch="RMS_NORM")
def _rms_norm(source: Source) -> Changes | None:
    """Drops the mean and the bias: less work, usually the same quality."""
    norms = calls(source.tree, r"(torch\.)?nn\.LayerNorm")
    return [(source.span(call.func), "nn.RMSNorm") for call in norms]


def _after_init(source: Source, line: str, purpose: str) -> Changes | None:
    """Touch the output projections once, right after the model's weights are drawn."""
    parts = model(source)
    if not parts or purpose in source.text:
        return None
    draws = parts.weight_draws()
    names = {name for name in output_projections(source) if not parts.head or name != parts.head.attribute}
    if len(draws) != 1 or not names:
        return None
    ends = ", ".join(f'"{name}.weight"' for name in sorted(names))
    code = (
        f"for name, weight in self.named_parameters():  # {purpose}\n"
        f"    if name.endswith(({ends}{',' if len(names) == 1 else ''})):\n"
        f"        {line}"
    )
    return [source.inserted_after(draws[0], code)]


@structural("scaled-residual-init", "Residual projections start at 1/√(2·depth)", "init", prior=-0.5)
def _scaled_residuals(source: Source) -> Changes | None:
    """GPT-2's initialisation: the stream's variance does not grow with depth."""
    loops = (ast.unparse(node.iter) for node in ast.walk(source.tree) if isinstance(node, ast.For))
    blocks = next((name for name in loops if name.startswith("self.") and "(" not in name), None)
    if not blocks or switch_state(source, "ZERO_PROJECTIONS"):
        return None
    scale = f"weight.data.mul_((2 * len({blocks})) ** -0.5)"
    return _after_init(source, scale, "the stream keeps its variance over depth")


@structural(
    "zero-residual-init", "Residual projections start at zero", "init", prior=0.5, switch="ZERO_PROJECTIONS"
)
def _zero_projections(source: Source) -> Changes | None:
    """Blocks begin as the identity, so that early steps train the embedding and the head."""
    return _after_init(source, "nn.init.zeros_(weight)", "every block starts as the identity")
