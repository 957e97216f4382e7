"""Calls and answers in a few words, so that a schedule can be read."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from spot_runner_provider.ami_state import AmiState
from spot_runner_provider.build import Image
from spot_runner_provider.intent import Intent
from spot_runner_provider.preset_config import ConfigVersion
from spot_runner_provider.protocol.calls import (
    Call,
    Commit,
    Committed,
    ForgetIntent,
    LogIntent,
    Lost,
    PutConfig,
    ReadHistory,
)
from spot_runner_provider.protocol.candidate import Candidate
from tests.interleavings.model import CONFIG, Annotate, FinishBuild, PassTime, PutItem, PutParameter, StartBuild


def say(value: Any) -> str:
    """Return a call or an answer in a few words."""
    match value:
        case Commit(seen, corrected):
            return f"Commit {say(corrected)} over {seen.updated_at[11:]}"
        case PutItem(state):
            return f"PutItem {say(state)}"
        case LogIntent(intent):
            return f"LogIntent {say(intent)}"
        case ForgetIntent(key):
            return f"ForgetIntent {key.split('#')[-1]}"
        case PutConfig(_, config, text):
            return f"PutConfig {_text(text)} over version {config.version}"
        case ReadHistory():
            return "ReadHistory"
        case PutParameter(base, text):
            return f"PutParameter {_text(text)} read from version {base}"
        case FinishBuild(image):
            return f"FinishBuild {say(image)}"
        case PassTime(seconds):
            return f"{seconds} seconds pass"
        case StartBuild(now):
            return f"StartBuild at {now[11:]}"
        case Annotate():
            return "UpdateItem of another attribute"
        case Call():
            return type(value).__name__
        case AmiState():
            return f"{value.status}({value.ami_id}, {value.updated_at[11:]})"
        case Intent():
            return f"{value.job_id.split('#')[-1]} of version {value.param_version}"
        case Image():
            return f"image {value.arn.rsplit('/', 1)[-1]} {value.status}"
        case ConfigVersion():
            return f"version {value.version} {_text(value.text)}"
        case Candidate():
            parts = [say(value.state) if value.state else "", *(f"intent {say(intent)}" for intent in value.intents)]
            return " and ".join(part for part in parts if part)
        case Committed():
            return "held"
        case Lost(present):
            return f"lost to {say(present)}"
        case (int(), str()):
            return f"version {value[0]} {_text(value[1])}"
        case tuple():
            return "; ".join(say(each) for each in value)
        case str() if value.startswith("arn:"):
            return "found"
        case None:
            return "nothing"
    return str(value)


@cache
def _text(text: str) -> str:
    """Return what a parameter's value holds that differs from the first one, ``ami`` always."""
    values = json.loads(text)
    told = {key: values.get(key, "removed") for key in {**CONFIG, **values} if values.get(key) != CONFIG.get(key)}
    told["ami"] = values.get("ami")
    return "{" + ", ".join(f"{key} {value}" for key, value in told.items()) + "}"
