"""Structural edits of the training: schedule shapes, averaged weights, the batch over time."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from roles.backends.offline.canvas import read_knobs
from roles.backends.offline.catalogue.anchors import calls, functions
from roles.backends.offline.catalogue.structural_edit import structural
from roles.backends.offline.source import Changes, Source, Span


def _schedule(source: Source) -> ast.FunctionDef | None:
    """The function from the fraction of the budget to the learning rate's scale."""
    for function in functions(source):
        is_schedule = re.search(r"learning_rate|(^|_)lr(_|$)|schedule", function.name.lower())
        if is_schedule and len(function.args.args) == 1 and isinstance(function.body[-1], ast.Return):
            return function
    return None


def _reshaped_schedule(source: Source, shape: str) -> Changes | None:
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
    return [(span, code)] if imported else None


@structural("cosine-schedule", "Cosine schedule over the whole budget", "schedule", prior=1.5)
def _cosine(source: Source) -> Changes | None:
    """The learning rate starts to fall early and ends low; a short warm-down leaves noise in the weights."""
    return _reshaped_schedule(source, "0.5 * (1 - math.cos(math.pi * {left}))")


@structural("linear-schedule", "Linear decay over the whole budget", "schedule", prior=1.5)
def _linear(source: Source) -> Changes | None:
    """Linear to zero is hard to beat when the budget is known."""
    return _reshaped_schedule(source, "{left}")


@structural("square-root-warmdown", "1 − √ warm-down", "schedule", prior=0.5)
def _square_root_warmdown(source: Source) -> Changes | None:
    """The learning rate falls fast at first: more of the warm-down is spent at small steps."""
    function = _schedule(source)
    for node in ast.walk(function) if function else ():
        match node:
            case ast.Assign(targets=[ast.Name(id="remaining")], value=ast.BinOp(op=ast.Div()) as value):
                return [(source.span(value), f"1 - (1 - {source.code(value)}) ** 0.5")]
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
        batches = next(calls(loop.iter, r"prepare\.batches"), None) if isinstance(loop, ast.For) else None
        if not isinstance(loop, ast.For) or not batches:
            continue
        stream = next((n.target.id for n in ast.walk(loop.iter) if isinstance(n, ast.NamedExpr)), None)
        steps = [
            node
            for node in ast.walk(loop)
            if isinstance(node, ast.Expr) and any(calls(node, r"update|train_step|\w*optimizer\.step"))
        ]
        if finish and finish.args and stream and len(steps) == 1:
            return _Loop(loop, batches, steps[0], finish, stream)
    return None


def _averaged(source: Source, make: str, condition: str = "") -> Changes | None:
    """Evaluate an average of the weights; `make` builds it for {model}, `condition` says when it grows."""
    parts = _training_loop(source)
    if not parts or "AveragedModel" in source.text:
        return None
    model = source.code(parts.finish.args[0])
    update = f"averaged.update_parameters({model})"
    if condition:
        update = f"if {condition.format(stream=parts.stream)}:\n    {update}"
    return [
        source.inserted_before(parts.loop, make.format(model=model)),
        source.inserted_after(parts.step, update),
        (source.span(parts.finish.args[0]), "averaged.module"),
    ]


@structural("moving-average", "Evaluate an exponential moving average of the weights", "averaging", prior=0.5)
def _moving_average(source: Source) -> Changes | None:
    """Averaging takes the noise of the last steps out, as a warm-down does."""
    return _averaged(
        source,
        "moving = torch.optim.swa_utils.get_ema_multi_avg_fn(0.97)\n"
        "averaged = torch.optim.swa_utils.AveragedModel({model}, multi_avg_fn=moving)",
    )


@structural("tail-average", "Evaluate the mean of the last weights", "averaging", prior=-0.5)
def _tail_average(source: Source) -> Changes | None:
    """The mean of the last 15 % of steps has less noise than the last one."""
    average = "averaged = torch.optim.swa_utils.AveragedModel({model})"
    return _averaged(source, average, "{stream}.fraction > 0.85")


@structural("batch-ramp", "Half the batch for the first half", "batch", prior=1.0)
def _batch_ramp(source: Source) -> Changes | None:
    """Early gradients agree whatever the batch; more updates are worth more then."""
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
    return [
        (source.span(rows), f"max(1, ({source.code(rows)}) // 2)"),
        source.inserted_before(parts.loop.body[0], ramp),
        *((source.span(name), "gather") for name in (counted, *divisors)),
    ]
