"""What one file does that is not known to be harmless: an AST reader. It sees names and calls, it runs nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from supervisor.audit import names
from supervisor.audit.rules import Ground

_DUNDER_TEXT = re.compile(r"__\w+__")
_MODULE_NAMES = frozenset(name.partition(".")[0] for name in names.GROUND_OF_MODULE) - {"torch", "json"}


# Many rules look at the same few trees, and nobody changes one.
@lru_cache(maxsize=1024)
def nodes_of(tree: ast.AST) -> tuple[ast.AST, ...]:
    """A node and all below it, in the order of ast.walk."""
    return tuple(ast.walk(tree))


@dataclass(frozen=True, slots=True)
class Sighting:
    """One thing seen in a file."""

    ground: Ground
    node: ast.AST  # where; has a line
    what: str  # a few words


class Imports(ast.NodeVisitor):
    """Which names stand for which modules and members of modules."""

    def __init__(self, tree: ast.AST) -> None:
        self.meaning: dict[str, str] = {}
        self.visit(tree)

    def visit_Import(self, node: ast.Import) -> None:
        """`import a.b` binds a, `import a.b as c` binds c to a.b."""
        for alias in node.names:
            root = alias.name.partition(".")[0]
            self.meaning[alias.asname or root] = alias.name if alias.asname else root

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """`from a import b as c` binds c to a.b."""
        for alias in node.names:
            self.meaning[alias.asname or alias.name] = f"{node.module or ''}.{alias.name}"

    def dotted(self, node: ast.AST) -> str:
        """`F.cross_entropy` as "torch.nn.functional.cross_entropy"; "" for what is no imported name."""
        if isinstance(node, ast.Name):
            return self.meaning.get(node.id, "")
        if isinstance(node, ast.Attribute):
            base = self.dotted(node.value)
            return f"{base}.{node.attr}" if base else ""
        return ""


def read_names(tree: ast.Module, has_referee: bool) -> Iterator[Sighting]:
    """Imports, names, attributes, calls and assignments that are flagged, wherever they stand."""
    imports, streams = Imports(tree), set(_streams(tree))
    whole = {id(node.value) for node in nodes_of(tree) if isinstance(node, ast.Attribute)}
    called = {id(node.func) for node in nodes_of(tree) if isinstance(node, ast.Call)}
    for node in nodes_of(tree):
        match node:
            case ast.Import() | ast.ImportFrom():
                yield from _read_import(node, has_referee)
            case ast.Name():
                yield from _read_name(node, imports, has_referee, id(node) in whole, id(node) in called)
            case ast.Attribute():
                yield from _read_attribute(node, imports, streams, has_referee)
            case ast.Call():
                yield from _read_call(node, imports)
            case ast.ClassDef():
                yield from _read_class(node, imports)
            case ast.FunctionDef() | ast.AsyncFunctionDef() if _is_dunder(node.name):
                yield Sighting(Ground.PATCHED, node, f"defines {node.name}")
    yield from _read_targets(tree, imports, streams)
    yield from _read_texts(tree)


def _streams(tree: ast.AST) -> Iterator[str]:
    """Names that a stream of batches is bound to."""
    for node in nodes_of(tree):
        if isinstance(node, ast.Assign | ast.NamedExpr | ast.AnnAssign) and node.value is not None:
            value, targets = node.value, node.targets if isinstance(node, ast.Assign) else [node.target]
            if isinstance(value, ast.Call) and _last(value.func) == "batches":
                yield from (target.id for target in targets if isinstance(target, ast.Name))


def _read_import(node: ast.Import | ast.ImportFrom, has_referee: bool) -> Iterator[Sighting]:
    if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
    elif node.module == "prepare":
        modules = []
        for alias in node.names:
            if alias.name not in names.PUBLIC or not has_referee:
                yield Sighting(Ground.REFEREE, node, f"imports {alias.name} of the referee")
    else:
        module = node.module or ""
        if node.level:
            yield Sighting(Ground.IMPORT, node, "imports a neighbour")
        # A member may be a module of its own: `from torch import hub`.
        members = [f"{module}.{alias.name}" for alias in node.names]
        modules = [module, *(m for m in members if m in names.GROUND_OF_MODULE)]
    for module in modules:
        ground = names.ground_of_import(module)
        if ground is not None:
            yield Sighting(ground, node, f"imports {module}")


def _read_name(
    node: ast.Name, imports: Imports, has_referee: bool, in_chain: bool, is_called: bool
) -> Iterator[Sighting]:
    if node.id in names.BUILTINS and node.id not in imports.meaning:
        yield Sighting(names.BUILTINS[node.id], node, f"uses {node.id}")
    if node.id in names.COMPUTED_ATTRIBUTE and not is_called:
        yield Sighting(Ground.EXEC, node, f"passes {node.id} around")
    meaning = imports.meaning.get(node.id, "")
    if meaning == "prepare" and has_referee and not in_chain:
        yield Sighting(Ground.REFEREE, node, "passes the referee around")
    if meaning == "sys" and not in_chain:
        yield Sighting(Ground.EXEC, node, "passes sys around")


def _read_attribute(
    node: ast.Attribute, imports: Imports, streams: set[str], has_referee: bool
) -> Iterator[Sighting]:
    dotted, attr = imports.dotted(node), node.attr
    root, _, rest = dotted.partition(".")
    is_public = has_referee and rest.partition(".")[0] in names.PUBLIC
    if root == "prepare" and rest and not is_public:
        yield Sighting(Ground.REFEREE, node, f"uses {dotted}")
    if isinstance(node.value, ast.Name) and node.value.id in streams and attr not in names.STREAM:
        yield Sighting(Ground.REFEREE, node, f"uses {attr} of the batches")
    if root == "sys" and rest and rest.partition(".")[0] not in names.SYS_HARMLESS:
        yield Sighting(Ground.EXEC, node, f"uses {dotted}")
    if dotted and attr in _MODULE_NAMES and dotted not in imports.meaning.values():
        yield Sighting(Ground.EXEC, node, f"reaches {attr} through {root}")
    if attr in names.ATTRIBUTES:
        yield Sighting(names.ATTRIBUTES[attr], node, f"uses {attr}")
    if dotted in names.CALLS or dotted in names.GROUND_OF_MODULE:
        yield Sighting(names.CALLS.get(dotted) or names.GROUND_OF_MODULE[dotted], node, f"uses {dotted}")
    if _is_dunder(attr):
        yield Sighting(Ground.EXEC, node, f"uses {attr}")
    elif (
        attr.startswith("_")
        and not attr.endswith("__")
        and not _is_own(node)
        and not dotted.startswith(names.PRIVATE_HARMLESS)
    ):
        yield Sighting(Ground.EXEC, node, f"uses the private {attr}")


def _read_call(node: ast.Call, imports: Imports) -> Iterator[Sighting]:
    name, dotted = _last(node.func), imports.dotted(node.func)
    if isinstance(node.func, ast.Name) and name in names.COMPUTED_ATTRIBUTE and len(node.args) > 1:
        attribute = node.args[1]
        if not (isinstance(attribute, ast.Constant) and isinstance(attribute.value, str)):
            yield Sighting(Ground.EXEC, node, f"{name} with a computed name")
        elif name == "setattr" and imports.dotted(node.args[0]):
            yield Sighting(Ground.PATCHED, node, f"sets {attribute.value} of {imports.dotted(node.args[0])}")
        elif _is_dunder(attribute.value) or attribute.value in _MODULE_NAMES:
            yield Sighting(Ground.EXEC, node, f"{name} of {attribute.value}")
    if isinstance(node.func, ast.Name) and name == "type" and len(node.args) == 3:
        yield Sighting(Ground.EXEC, node, "makes a class at run time")
    if name in names.SEEDERS and (not dotted or dotted.partition(".")[0] in names.RANDOM_ROOTS):
        seeds = [*node.args, *(keyword.value for keyword in node.keywords)]
        if not seeds or not all(_from_the_seed(value, imports) for value in seeds):
            yield Sighting(Ground.SEEDS, node, f"{name} with a seed of its own")
    for keyword in node.keywords:
        if keyword.arg == "num_workers":
            yield Sighting(Ground.PROCESS, node, "starts workers")


def _from_the_seed(value: ast.AST, imports: Imports) -> bool:
    """`prepare.seed`, or arithmetic of it and literals; a device is no seed."""
    match value:
        case ast.BinOp():
            return _from_the_seed(value.left, imports) or _from_the_seed(value.right, imports)
        case ast.Attribute():
            return imports.dotted(value) in ("prepare.seed", "prepare.device")
        case _:
            return False


def _read_class(node: ast.ClassDef, imports: Imports) -> Iterator[Sighting]:
    for base in node.bases:
        if imports.dotted(base) in names.TENSOR_BASES:
            yield Sighting(Ground.PATCHED, node, f"a tensor of its own kind: {node.name}")
    for keyword in node.keywords:
        yield Sighting(Ground.EXEC, node, f"class {node.name} with {keyword.arg or 'keywords'}")
    for member in node.body:
        if isinstance(member, ast.FunctionDef) and member.name in names.RELIED_ON:
            relied_on = f"{node.name}.{member.name} is what the evaluation relies on"
            yield Sighting(Ground.PATCHED, member, relied_on)


def _read_targets(tree: ast.AST, imports: Imports, streams: set[str]) -> Iterator[Sighting]:
    """Assignments to what belongs to a module, or to a stream of batches."""
    for node in nodes_of(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and node.id in imports.meaning:
            yield Sighting(Ground.PATCHED, node, f"gives {node.id} another meaning")
        if not isinstance(node, ast.Attribute | ast.Subscript) or isinstance(node.ctx, ast.Load):
            continue
        target = node.value if isinstance(node, ast.Subscript) else node
        dotted = imports.dotted(target)
        if dotted and not dotted.startswith(names.SETTABLE):
            yield Sighting(Ground.PATCHED, node, f"assigns to {dotted}")
        elif isinstance(target, ast.Attribute):
            if isinstance(target.value, ast.Name) and target.value.id in streams:
                yield Sighting(Ground.REFEREE, node, f"assigns to {target.attr} of the batches")
            elif target.attr in names.RELIED_ON:
                yield Sighting(Ground.PATCHED, node, f"assigns to {target.attr}")


def _read_texts(tree: ast.AST) -> Iterator[Sighting]:
    for node in nodes_of(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            dunder = _DUNDER_TEXT.search(node.value)
            if dunder and dunder[0] != "__main__" and len(node.value) < 200:
                yield Sighting(Ground.EXEC, node, f"names {dunder[0]} in a text")


def _last(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__") and name not in names.DUNDERS


def _is_own(node: ast.Attribute) -> bool:
    """`self._x`, `cls._x` and what hangs below them."""
    value = node.value
    while isinstance(value, ast.Attribute | ast.Subscript):
        value = value.value
    return isinstance(value, ast.Name) and value.id in ("self", "cls")
