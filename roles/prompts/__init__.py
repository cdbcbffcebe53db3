"""The role prompts, as Markdown."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from supervisor.model.states import Role

_FILES = {Role.CHIEF: "chief_scientist.md", Role.JUNIOR: "junior_engineer.md"}
_RULES = {Role.CHIEF: "chief", Role.JUNIOR: "junior"}


@cache
def role_prompt(role: Role) -> str:
    """What a role is told of itself, with its title."""
    return (files("roles.prompts") / _FILES[role]).read_text(encoding="utf-8").strip()


@cache
def kind_rules(role: Role, *, own_kind: bool) -> str:
    """What counts for a role in a lab that trains a language model under our referee, or in one of another kind."""
    name = f"{_RULES[role]}_{'language_model' if own_kind else 'printed_score'}.md"
    return (files("roles.prompts") / name).read_text(encoding="utf-8").strip()
