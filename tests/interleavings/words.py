"""Calls and answers in a few words, so that a schedule can be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, singledispatch
from typing import Any, TypeVar

from spot_runner_provider.protocol.calls import (
    Call,
    Commit,
    Committed,
    ForgetIntent,
    LogIntent,
    Lost,
    PutConfig,
)
from spot_runner_provider.protocol.candidate import Candidate
from spot_runner_provider.records.ami_state import AmiState
from spot_runner_provider.records.image import Image
from spot_runner_provider.records.intent import Intent
from spot_runner_provider.records.parameter import ConfigVersion
from tests.interleavings.model import (
    CONFIG,
    Annotate,
    DeleteItem,
    FinishBuild,
    PassTime,
    PutItem,
    PutParameter,
    StartBuild,
)

T = TypeVar("T")


@singledispatch
def say(value: Any) -> str:
    """Return a call or an answer in a few words."""
    return "nothing" if value is None else str(value)


def _said(words: Callable[[T], str], kind: type[T]) -> None:
    say.register(kind)(words)


_said(lambda call: type(call).__name__, Call)
_said(lambda call: f"Commit {say(call.corrected)} over {call.seen.updated_at[11:]}", Commit)
_said(lambda call: f"PutItem {say(call.state)}", PutItem)
_said(lambda call: f"LogIntent {say(call.intent)}", LogIntent)
_said(lambda call: f"ForgetIntent {call.job_id.split('#')[-1]}", ForgetIntent)
_said(lambda call: f"PutConfig {_text(call.text)} over version {call.config.version}", PutConfig)
_said(lambda call: f"PutParameter {_text(call.text)} read from version {call.base}", PutParameter)
_said(lambda call: f"FinishBuild {say(call.image)}", FinishBuild)
_said(lambda call: f"{call.seconds} seconds pass", PassTime)
_said(lambda call: f"StartBuild at {call.now[11:]}", StartBuild)
_said(lambda call: "UpdateItem of another attribute", Annotate)
_said(lambda call: "DeleteItem", DeleteItem)
_said(lambda state: f"{state.status}({state.ami_id}, {state.updated_at[11:]})", AmiState)
_said(lambda intent: f"{intent.job_id.split('#')[-1]} of version {intent.param_version}", Intent)
_said(lambda image: f"image {image.arn.rsplit('/', 1)[-1]} {image.status}", Image)
_said(lambda version: f"version {version.version} {_text(version.text)}", ConfigVersion)
_said(lambda answer: "held", Committed)
_said(lambda answer: f"lost to {say(answer.present)}", Lost)
_said(lambda text: "found" if text.startswith("arn:") else text, str)


@say.register
def _(candidate: Candidate) -> str:
    parts = [say(candidate.state) if candidate.state else "", *(f"intent {say(each)}" for each in candidate.intents)]
    return " and ".join(part for part in parts if part)


@say.register
def _(answers: tuple) -> str:
    match answers:
        case (int(version), str(text)):
            return f"version {version} {_text(text)}"
    return "; ".join(map(say, answers))


@cache
def _text(text: str) -> str:
    """Return what a parameter's value holds that differs from the first one, ``ami`` always."""
    try:
        values = json.loads(text)
    except ValueError:
        return "no JSON"
    told = {key: values.get(key, "removed") for key in {**CONFIG, **values} if values.get(key) != CONFIG.get(key)}
    told["ami"] = values.get("ami")
    return "{" + ", ".join(f"{key} {str(value)[:20]}" for key, value in told.items()) + "}"
