"""Structural edits of the training: schedule shapes, averaged weights, the batch over time."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from roles.backends.offline.anchors import calls, code_of, functions, inserted_after, inserted_before
from roles.backends.offline.canvas import Source, Span, read_knobs, splice
from roles.backends.offline.structural import StructuralEdit


def _schedule(source: Source) -> ast.FunctionDef | None:
    """The function from the fraction of the budget to the learning rate's scale."""
    for function in functions(source):
        named = re.search(r"learning_rate|(^|_)lr(_|$)|schedule", function.name.lower())
        if named and len(function.args.args) == 1 and isinstance(function.body[-1], ast.Return):
            return function
    return None


def _reshaped_schedule(source: Source, shape: str) -> str | None:
    """The schedule's body with its warm-up kept and `shape` of what is left (1 falls to 0) after it."""
    if not (function := _schedule(source)):
        return None
    argument = function.args.args[0].arg
    kept = [n for n in function.body if isinstance(n, ast.If) and "WARMUP" in ast.unparse(n.test)][:1]
    docstring = [n for n in function.body[:1] if ast.get_docstring(function) is not None]
    rest = [node for node in function.body if node not in kept and node not in docstring]
    knobs = read_knobs(source.text)
    warmup = "WARMUP" if kept and "WARMUP" in knobs else "0.0"
    left = f"left = (1 - {argument}) / (1 - {warmup})"
    scale = shape.format(left="left")
    if "FINAL_LR" in knobs:
        scale = f"FINAL_LR + (1 - FINAL_LR) * {scale}"
    span = Span(source.line_span(rest[0]).start, source.line_span(rest[-1]).end)
    pad = source.indent(rest[0])
    code = f"{pad}{left}\n{pad}return {scale}\n"
    imported = "import math" in source.text or "math." not in scale
    return splice(source.text, [(span, code)]) if imported else None


def _cosine(source: Source) -> str | None:
    return _reshaped_schedule(source, "0.5 * (1 - math.cos(math.pi * {left}))")


def _linear(source: Source) -> str | None:
    return _reshaped_schedule(source, "{left}")


def _square_root_warmdown(source: Source) -> str | None:
    """`remaining` becomes 1 − √(1 − remaining): most of the fall comes early in the warm-down."""
    function = _schedule(source)
    for node in ast.walk(function) if function else ():
        match node:
            case ast.Assign(targets=[ast.Name(id="remaining")], value=ast.BinOp(op=ast.Div()) as value):
                return splice(
                    source.text, [(source.span(value), f"1 - (1 - {code_of(source, value)}) ** 0.5")]
                )
    return None


@dataclass(frozen=True, slots=True)
class _Loop:
    """The training loop over `prepare.batches`, and the calls around it."""

    loop: ast.For
    batches: ast.Call
    step: ast.stmt  # after which the weights have moved
    finish: ast.Call
    stream: str  # the name that the batches go by, for `stream.fraction`


def _training_loop(source: Source) -> _Loop | None:
    finish = next(calls(source.tree, r"prepare\.finish"), None)
    for loop in ast.walk(source.tree):
        if not isinstance(loop, ast.For) or not (
            batches := next(calls(loop.iter, r"prepare\.batches"), None)
        ):
            continue
        named = next((n.target.id for n in ast.walk(loop.iter) if isinstance(n, ast.NamedExpr)), None)
        steps = [
            node
            for node in ast.walk(loop)
            if isinstance(node, ast.Expr) and any(calls(node, r"update|train_step|\w*optimizer\.step"))
        ]
        if finish and finish.args and named and len(steps) == 1:
            return _Loop(loop, batches, steps[0], finish, named)
    return None


def _averaged(source: Source, made: str, guard: str) -> str | None:
    """Evaluate an average of the weights; `made` builds it for {model}, `guard` says when it grows."""
    parts = _training_loop(source)
    if not parts or "AveragedModel" in source.text:
        return None
    model = code_of(source, parts.finish.args[0])
    update = f"averaged.update_parameters({model})"
    guarded = f"if {guard.format(stream=parts.stream)}:\n    {update}" if guard else update
    return splice(
        source.text,
        [
            inserted_before(source, parts.loop, made.format(model=model)),
            inserted_after(source, parts.step, guarded),
            (source.span(parts.finish.args[0]), "averaged.module"),
        ],
    )


def _moving_average(source: Source) -> str | None:
    return _averaged(
        source,
        "moving = torch.optim.swa_utils.get_ema_multi_avg_fn(0.97)\n"
        "averaged = torch.optim.swa_utils.AveragedModel({model}, multi_avg_fn=moving)",
        "",
    )


def _tail_average(source: Source) -> str | None:
    return _averaged(
        source, "averaged = torch.optim.swa_utils.AveragedModel({model})", "{stream}.fraction > 0.85"
    )


def _batch_ramp(source: Source) -> str | None:
    """Half the batch for half the budget: twice the updates while gradients agree anyway."""
    parts = _training_loop(source)
    if not parts or re.search(r"\bgather\b", source.text) or not parts.batches.args:
        return None
    for node in ast.walk(parts.loop):
        match node:
            case ast.If(
                test=ast.Compare(
                    left=ast.BinOp(left=ast.Name(), op=ast.Mod(), right=ast.Name(id=passes) as counted),
                    comparators=[ast.Constant(value=0)],
                )
            ):
                break
    else:
        return None
    divisors = [
        n.right
        for statement in parts.loop.body
        for n in ast.walk(statement)
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div) and ast.unparse(n.right) == passes
    ]
    ramp = f"gather = {passes} if {parts.stream}.fraction < 0.5 else 2 * {passes}"
    rows = parts.batches.args[0]
    return splice(
        source.text,
        [
            (source.span(rows), f"max(1, ({code_of(source, rows)}) // 2)"),
            inserted_before(source, parts.loop.body[0], ramp),
            *((source.span(name), "gather") for name in (counted, *divisors)),
        ],
    )


TRAINING_EDITS = (
    StructuralEdit(
        "cosine-schedule",
        "Cosine schedule over the whole budget",
        "The learning rate starts to fall early and ends low; a short warm-down leaves noise in the weights.",
        "schedule",
        1.5,
        _cosine,
    ),
    StructuralEdit(
        "linear-schedule",
        "Linear decay over the whole budget",
        "Linear to zero is hard to beat when the budget is known.",
        "schedule",
        1.5,
        _linear,
    ),
    StructuralEdit(
        "square-root-warmdown",
        "1 − √ warm-down",
        "The learning rate falls fast at first: more of the warm-down is spent at small steps.",
        "schedule",
        0.5,
        _square_root_warmdown,
    ),
    StructuralEdit(
        "moving-average",
        "Evaluate an exponential moving average of the weights",
        "Averaging takes the noise of the last steps out, as a warm-down does.",
        "averaging",
        0.5,
        _moving_average,
    ),
    StructuralEdit(
        "tail-average",
        "Evaluate the mean of the last weights",
        "The mean of the last 15 % of steps has less noise than the last one.",
        "averaging",
        -0.5,
        _tail_average,
    ),
    StructuralEdit(
        "batch-ramp",
        "Half the batch for the first half",
        "Early gradients agree whatever the batch; more updates are worth more then.",
        "batch",
        1.0,
        _batch_ramp,
    ),
)
