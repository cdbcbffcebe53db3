"""What a campaign's scores can be compared with: all of the configuration that is not known to be beside the point."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from supervisor.lab.config import LabConfig
from supervisor.lab.paths import Lab
from supervisor.lab.programs import command_argv, lab_python
from supervisor.model.snapshot import Campaign, Setting

# What may change while scores stay comparable. A key that is not here opens a new setting, also one that is new.
_BESIDE_THE_POINT: dict[str, Any] = {
    "lab": {"editable", "new_files", "smoke", "timeout_s", "canary", "documents", "report"},
    "metric": {"unit": True, "also": {"__all__": {"unit"}}},
    "checks": {"timeout_s"},
    "audit": True,
    "agents": True,
    "limits": True,
    "decide": True,
}
# A key that was renewed measures nothing else.
_CREDENTIAL = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|COOKIE", re.IGNORECASE)
_MACHINE = re.compile(r"(env|python|program|cores)( |$)")  # what is not said by the configuration
_CORES = "cores"  # of each run, among the details: not the configuration's word, which may be silent
_DIGEST_LETTERS = 12
_TOLD_LETTERS = 60


def make_setting(
    lab: Lab, referee: str, fingerprint: str, device_kind: str, budget_s: float | None, cores: str = ""
) -> Setting:
    """What the scores of a campaign that starts now can be compared with.

    `cores`: what each run gets of a CPU, where it is not the one core that our lab's runs have.
    """
    budget = lab.config.resolved(device_kind)
    seconds = budget_s or budget.seconds
    details = details_of(lab, cores)
    parts = (referee, fingerprint, lab.config.metric.name, f"{seconds:g}", budget.clock, device_kind)
    whole = "\0".join((*parts, json.dumps(details, sort_keys=True)))
    return Setting(
        id=_digest(whole),
        referee_hash=referee,
        data_fingerprint=fingerprint,
        metric=lab.config.metric.name,
        budget_s=seconds,
        clock=budget.clock,
        device_kind=device_kind,
        details=details,
    )


def details_of(lab: Lab, cores: str = "") -> dict[str, str]:
    """What the configuration says, then what this machine makes of it; values of variables as digests only."""
    of_cores = ((_CORES, cores),) if cores else ()
    return dict(sorted((*configured(lab.config).items(), *_of_the_machine(lab), *of_cores)))


def configured(config: LabConfig) -> dict[str, str]:
    """What the configuration says otherwise than by default, by key: a default that is new changes nothing."""
    said = config.model_dump(mode="json", exclude=_BESIDE_THE_POINT, exclude_defaults=True)
    return {
        f"{table}.{key}": value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for table, keys in said.items()
        for key, value in keys.items()
    }


def _of_the_machine(lab: Lab) -> Iterator[tuple[str, str]]:
    config, python = lab.config.lab, lab_python(lab)
    for name in config.env:
        value = os.environ.get(name)
        if value is not None:
            yield f"env {name}", "set" if _CREDENTIAL.search(name) else _digest(f"{name}={value}")
    if "{python}" in config.command:
        yield "python", "the tool's" if python == sys.executable else _place(lab, Path(python))
    program = command_argv(config.command, python)[0]
    if program != python and (found := shutil.which(program)):
        yield "program", _place(lab, Path(found))


def config_changes(lab: Lab, campaign: Campaign) -> tuple[str, ...]:
    """What the configuration says otherwise now than when the campaign began."""
    before = {key: value for key, value in campaign.setting.details.items() if not _MACHINE.match(key)}
    return changes(before, configured(lab.config)) if campaign.setting.details else ()


def setting_changes(lab: Lab, campaign: Campaign) -> tuple[str, ...]:
    """What makes scores of now another setting's than the campaign's; () where nothing was written down of it."""
    # What is asked for now decides of the devices; a campaign that goes on keeps its own.
    before = {key: value for key, value in campaign.setting.details.items() if key != _CORES}
    return changes(before, details_of(lab)) if before else ()


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """What differs between the details of two settings, one short line for each key."""
    lines = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key, ""), now.get(key, "")
        if old != new:
            shown = "" if key.startswith("env ") else f" from {_short(old)} to {_short(new)}"
            lines.append(f"{key}{shown}")
    return tuple(lines)


def _short(value: str) -> str:
    clean = " ".join(value.split())
    cut = clean if len(clean) <= _TOLD_LETTERS else f"{clean[: _TOLD_LETTERS - 1]}…"
    return f"`{cut}`" if cut else "its default"


def _place(lab: Lab, program: Path) -> str:
    """Where a program lies: in which virtual environment, of which version, else the file that its links lead to."""
    environment = program.parent.parent
    settings = environment / "pyvenv.cfg"
    if not settings.is_file():
        return str(program.resolve())
    text = settings.read_text(encoding="utf-8", errors="replace")
    version = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+)", text, re.MULTILINE)
    # A lab that was moved is the same lab.
    inside = environment.is_relative_to(lab.root)
    place = str(environment.relative_to(lab.root)) if inside else str(environment)
    return f"{place} {version[1]}" if version else place


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LETTERS]
