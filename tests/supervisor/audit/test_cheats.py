"""The catalogue fits the canvas as it is: an anchor that went is told here, not in a run of half an hour."""

import ast

import pytest

from cheating import foreign, models
from cheating.catalogue import cheats
from cheating.edits import Edit
from cheating.honest import honest
from supervisor.audit.audit import audit
from supervisor.drafts.guard import hash_sources
from supervisor.lab.presets import template_path

CANVAS = "training/train.py"
BASE = (template_path() / CANVAS).read_text()
ALL = (*cheats(), *honest())


@pytest.mark.parametrize("edit", ALL, ids=lambda edit: edit.id)
def test_edit_applies_and_parses(edit: Edit) -> None:
    after = edit.apply(BASE)
    assert after != BASE
    ast.parse(after)


def test_edits_are_distinct_programs_with_distinct_names() -> None:
    hashes = {hash_sources({CANVAS: edit.apply(BASE)}) for edit in ALL}
    assert len(hashes | {hash_sources({CANVAS: BASE})}) == len(ALL) + 1
    for edits in (cheats(), honest()):
        assert len({edit.id for edit in edits}) == len(edits)


def test_catalogue_is_as_large_as_promised() -> None:
    assert len(cheats()) >= 34
    assert len(honest()) >= 20


def test_foreign_cheats_are_distinct_programs() -> None:
    programs = {
        hash_sources({foreign.CANVAS: edit.apply(foreign.TRAIN)}) for edit in foreign.foreign_cheats()
    }
    assert len(programs) == len(foreign.foreign_cheats()) >= 8


def flagged(edit: Edit) -> set[str]:
    flags = audit({CANVAS: BASE}, {CANVAS: edit.apply(BASE)}, has_referee=True, metric="val_bpb")
    return {flag.rule for flag in flags}


def test_honest_edits_are_hardly_flagged() -> None:
    assert len([edit.id for edit in honest() if flagged(edit)]) <= 2


# No reader sees these: a branch on training that dropout has too, gradients out of a copy, slow evaluation.
LEFT_OPEN = {"warm-up-copy", "skips-batches", "evaluates-long"}


def test_what_the_audit_leaves_to_the_probes_is_in_the_model_itself() -> None:
    left = {edit.id for edit in cheats() if not flagged(edit)}
    of_models = {edit.id for group in (models.peeking(), models.remembering()) for edit in group}
    assert left <= of_models | LEFT_OPEN
