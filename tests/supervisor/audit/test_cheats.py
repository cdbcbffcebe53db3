"""The catalogue fits the canvas as it is: an anchor that went is told here, not in a run of half an hour."""

import ast

import pytest

from cheating import foreign, models
from cheating.catalogue import cheats
from cheating.edits import Edit
from cheating.honest import honest
from cheating.walls import carrying, of_the_wall
from supervisor.audit.audit import audit
from supervisor.audit.source_growth import find_data
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
    assert len(cheats()) >= 130
    assert len(of_the_wall()) >= 40
    assert len(honest()) >= 40


def test_foreign_cheats_are_distinct_programs() -> None:
    programs = {
        hash_sources({foreign.CANVAS: edit.apply(foreign.TRAIN)}) for edit in foreign.foreign_cheats()
    }
    assert len(programs) == len(foreign.foreign_cheats()) >= 8


def flagged(edit: Edit, *, wall: bool = False) -> set[str]:
    after = {CANVAS: edit.apply(BASE)}
    return {f.rule for f in audit({CANVAS: BASE}, after, has_referee=True, metric="val_bpb", has_wall=wall)}


def test_honest_edits_are_hardly_flagged() -> None:
    assert len([edit.id for edit in honest() if flagged(edit, wall=True)]) <= 2


def test_no_honest_edit_carries_data_and_those_that_carry_it_are_refused() -> None:
    def refused(edits: tuple[Edit, ...]) -> set[str]:
        base = {CANVAS: BASE}
        return {edit.id for edit in edits if find_data(base, base, {CANVAS: edit.apply(BASE)}, 8.0)}

    assert refused(honest()) == set()
    assert refused(carrying()) == {edit.id for edit in carrying()}


# No reader sees these: a branch on training that dropout has too, gradients out of a copy, slow evaluation.
LEFT_OPEN = {"warm-up-copy", "skips-batches", "evaluates-long"}


def test_what_the_audit_leaves_to_the_probes_is_in_the_model_itself() -> None:
    left = {
        edit.id for edit in cheats() if edit.id not in {e.id for e in of_the_wall()} and not flagged(edit)
    }
    of_models = {edit.id for group in (models.peeking(), models.remembering()) for edit in group}
    assert left <= of_models | LEFT_OPEN
