"""The role prompts, as Markdown."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from supervisor.model.states import Role

_FILES = {Role.CHIEF: "chief_scientist.md", Role.JUNIOR: "junior_engineer.md"}


@cache
def role_prompt(role: Role) -> str:
    """What a role is told of itself, with its title."""
    return (files("roles.prompts") / _FILES[role]).read_text(encoding="utf-8").strip()
