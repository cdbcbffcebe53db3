"""Structural edits inside a block: activation, norms, how the sublayers are joined, initial weights."""

from __future__ import annotations

import ast

from roles.backends.offline.anchors import (
    calls,
    classes,
    code_of,
    inserted_after,
    method,
    model,
    output_projections,
    replaced,
    residual_steps,
    submodules,
    switch,
    switched_on,
)
from roles.backends.offline.canvas import Source, splice
from roles.backends.offline.structural import StructuralEdit

_ACTIVATION = r"(F|nn\.functional|torch\.nn\.functional)\.(gelu|relu|silu)"


def _activation_call(source: Source) -> tuple[ast.ClassDef, ast.Assign, ast.Call] | None:
    """`x = F.gelu(x)` in the forward of the MLP, or what the canvas's own switch makes of it."""
    for owner in classes(source):
        forward = method(owner, "forward")
        for node in forward.body if forward else ():
            if isinstance(node, ast.Assign) and (found := next(calls(node, _ACTIVATION), None)):
                return owner, node, found
    return None


def _squared_relu(source: Source) -> str | None:
    if not (found := _activation_call(source)):
        return None
    _, statement, call = found
    if "square()" in ast.unparse(statement):
        return switched_on(source, "RELU_SQUARED") if switch(source, "RELU_SQUARED") is not None else None
    return splice(source.text, [(source.span(call), f"F.relu({code_of(source, call.args[0])}).square()")])


def _silu(source: Source) -> str | None:
    if not (found := _activation_call(source)) or not _is_whole(*found[1:]):
        return None
    _, statement, call = found
    return splice(source.text, [(source.span(statement.value), f"F.silu({code_of(source, call.args[0])})")])


def _is_whole(statement: ast.Assign, call: ast.Call) -> bool:
    """Whether the statement is nothing but the activation, or a choice between two."""
    return statement.value is call or (
        isinstance(statement.value, ast.IfExp) and call in (statement.value.body, statement.value.orelse)
    )


def _gated(source: Source) -> str | None:
    """SwiGLU with two thirds of the hidden width, so that parameters and compute stay as they are."""
    if not (found := _activation_call(source)):
        return None
    owner, statement, call = found
    linears = submodules(owner, "Linear")
    if not _is_whole(statement, call) or len(linears) != 2:
        return None
    up, down = linears
    hidden = down.sizes[0]
    if up.sizes[1] != hidden or len(call.args) != 1:
        return None
    narrow = f"2 * {hidden} // 3"
    stream = ast.unparse(statement.targets[0])
    return splice(
        source.text,
        [
            (source.span(up.call.args[1]), f"2 * ({narrow})"),
            (source.span(down.call.args[0]), narrow),
            replaced(
                source,
                statement,
                f"gate, {stream} = {code_of(source, call.args[0])}.chunk(2, dim=-1)\n"
                f"{stream} = F.silu(gate) * {stream}",
            ),
        ],
    )


def _sandwich(source: Source) -> str | None:
    steps = residual_steps(source)
    if not steps:
        return None
    changes = []
    for step in steps:
        call = code_of(source, step.sublayer)
        normed = f"F.rms_norm({call}, ({step.stream}.size(-1),))"
        changes.append((source.span(step.sublayer), normed))
    return splice(source.text, changes)


def _post_norm(source: Source) -> str | None:
    steps = residual_steps(source)
    if not steps:
        return None
    changes = []
    for step in steps:
        sublayer = code_of(source, step.sublayer).replace(code_of(source, step.normed), step.stream, 1)
        norm = code_of(source, step.normed.func)
        changes.append(
            replaced(source, step.statement, f"{step.stream} = {norm}({step.stream} + {sublayer})")
        )
    return splice(source.text, changes)


def _parallel(source: Source) -> str | None:
    steps = residual_steps(source)
    if not steps:
        return None
    first, second = steps
    both = f"{code_of(source, first.sublayer)} + {code_of(source, second.sublayer)}"
    return splice(
        source.text,
        [
            replaced(source, first.statement, f"{first.stream} = {first.stream} + {both}"),
            (source.line_span(second.statement), ""),
        ],
    )


def _rms_norm(source: Source) -> str | None:
    if switch(source, "RMS_NORM") is not None:
        return switched_on(source, "RMS_NORM")
    changes = [
        (source.span(call.func), "nn.RMSNorm") for call in calls(source.tree, r"(torch\.)?nn\.LayerNorm")
    ]
    return splice(source.text, changes) if changes else None


def _after_init(source: Source, line: str, purpose: str) -> str | None:
    """Touch the output projections once, right after the model's weights are drawn."""
    parts = model(source)
    if not parts or purpose in source.text:
        return None
    drawn = [n for n in parts.init.body if isinstance(n, ast.Expr) and any(calls(n, r"self\.apply"))]
    names = [name for name in output_projections(source) if not parts.head or name != parts.head.attribute]
    if len(drawn) != 1 or not names:
        return None
    ends = ", ".join(f'"{name}.weight"' for name in sorted(set(names)))
    code = (
        f"for name, weight in self.named_parameters():  # {purpose}\n"
        f"    if name.endswith(({ends}{',' if len(set(names)) == 1 else ''})):\n"
        f"        {line}"
    )
    return splice(source.text, [inserted_after(source, drawn[0], code)])


def _scaled_residuals(source: Source) -> str | None:
    loops = [node for node in ast.walk(source.tree) if isinstance(node, ast.For)]
    names = [ast.unparse(n.iter) for n in loops if ast.unparse(n.iter).startswith("self.")]
    names = [name for name in names if "(" not in name]
    if not names or switch(source, "ZERO_PROJECTIONS"):
        return None
    scale = f"weight.data.mul_((2 * len({names[0]})) ** -0.5)"
    return _after_init(source, scale, "the stream keeps its variance over depth")


def _zero_projections(source: Source) -> str | None:
    if switch(source, "ZERO_PROJECTIONS") is not None:
        return switched_on(source, "ZERO_PROJECTIONS")
    return _after_init(source, "nn.init.zeros_(weight)", "every block starts as the identity")


BLOCK_EDITS = (
    StructuralEdit(
        "squared-relu",
        "Squared ReLU in the MLP",
        "ReLU² is sparse and sharp, and cheaper than GELU on a CPU (Primer).",
        "activation",
        1.0,
        _squared_relu,
    ),
    StructuralEdit(
        "silu",
        "SiLU in the MLP",
        "SiLU is close to GELU and cheaper to compute.",
        "activation",
        -0.5,
        _silu,
    ),
    StructuralEdit(
        "swiglu",
        "Gated MLP (SwiGLU) at equal parameters",
        "A gate lets the MLP choose what to pass on; usually better per parameter.",
        "activation",
        0.5,
        _gated,
    ),
    StructuralEdit(
        "sandwich-norm",
        "Sandwich norm: normalise what each sublayer adds",
        "Bounded additions allow larger learning rates.",
        "norm",
        0.5,
        _sandwich,
    ),
    StructuralEdit(
        "post-norm",
        "Post-norm: normalise the stream after each sublayer",
        "The original transformer's placement; fine at low depth, and every layer sees a scaled stream.",
        "norm",
        -1.0,
        _post_norm,
    ),
    StructuralEdit(
        "parallel-block",
        "Attention and MLP in parallel",
        "Both read the same stream (GPT-J): shorter gradient paths, slightly less work per block.",
        "shape",
        -0.5,
        _parallel,
    ),
    StructuralEdit(
        "rms-norm",
        "RMSNorm for LayerNorm",
        "Drops the mean and the bias: less work, usually the same quality.",
        "norm",
        -0.5,
        _rms_norm,
    ),
    StructuralEdit(
        "scaled-residual-init",
        "Residual projections start at 1/√(2·depth)",
        "GPT-2's initialisation: the stream's variance does not grow with depth.",
        "init",
        -0.5,
        _scaled_residuals,
    ),
    StructuralEdit(
        "zero-residual-init",
        "Residual projections start at zero",
        "Blocks begin as the identity, so that early steps train the embedding and the head.",
        "init",
        0.5,
        _zero_projections,
    ),
)
