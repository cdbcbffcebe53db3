"""The catalogue of structural edits, by id: changes to the code that a search makes where it recognises its parts."""

# Each adds its own: a search draws in this order.
from roles.backends.offline.catalogue import block_edits, stem_edits, training_edits  # noqa: F401
from roles.backends.offline.catalogue.structural_edit import CATALOGUE

__all__ = ["CATALOGUE"]
