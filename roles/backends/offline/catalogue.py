"""The catalogue of structural edits, by id."""

from __future__ import annotations

from roles.backends.offline.block_edits import BLOCK_EDITS
from roles.backends.offline.stem_edits import STEM_EDITS
from roles.backends.offline.structural import StructuralEdit
from roles.backends.offline.training_edits import TRAINING_EDITS

CATALOGUE: dict[str, StructuralEdit] = {
    edit.id: edit for edit in (*BLOCK_EDITS, *STEM_EDITS, *TRAINING_EDITS)
}
