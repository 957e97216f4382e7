"""The three stores in memory, for the real batch: they hold, and answer, whatever a test puts in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spot_runner_provider.protocol.calls import (
    Call,
    Commit,
    Committed,
    DescribeConfig,
    FindPipeline,
    ForgetIntent,
    LatestImage,
    LogIntent,
    Lost,
    PutConfig,
    ReadConfig,
    ReadHistory,
    ReadState,
)
from spot_runner_provider.records.ami_state import AmiState, MalformedRecord
from spot_runner_provider.records.image import Image, latest, pipelines_of
from spot_runner_provider.records.parameter import ConfigVersion


@dataclass
class Memory:
    """Answers as :class:`~spot_runner_provider.hooks.stores.Stores` does, over plain values.

    ``records`` and ``configs`` are by preset, ``listed`` by the pipeline's ARN, ``images`` by their own, ``intents`` by
    key. ``pipelines`` and images are what Image Builder answers.
    """

    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    configs: dict[str, list[ConfigVersion]] = field(default_factory=dict)
    pipelines: list[Any] = field(default_factory=list)
    listed: dict[str, Sequence[Any]] = field(default_factory=dict)
    images: dict[str, Any] = field(default_factory=dict)
    intents: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def perform(self, calls: Sequence[Call]) -> list[Any]:
        return [self.perform_one(call) for call in calls]

    def perform_one(self, call: Call) -> Any:
        match call:
            case FindPipeline(names):
                found = {pipeline.name: pipeline for pipeline in pipelines_of(self.pipelines)}
                return tuple(found[name] for name in names if name in found)
            case LatestImage(arn):
                return self._latest_image(arn)
            case ReadState(preset):
                return self._state(preset)
            case Commit(seen, corrected):
                return self._commit(seen, corrected)
            case ReadConfig(preset):
                return self.configs[preset][-1] if self.configs.get(preset) else None
            case DescribeConfig(_, config):
                return replace(config, tier="Standard")
            case ReadHistory(preset):
                return list(self.configs.get(preset, ()))
            case PutConfig(preset, config, text):
                versions = self.configs[preset]
                versions.append(config.with_text(text, versions[-1].version + 1))
                return versions[-1].version
        return self._note(call)

    def ami(self, preset: str) -> Any:
        return json.loads(self.configs[preset][-1].text)["ami"]

    def _note(self, call: Call) -> None:
        match call:
            case LogIntent(intent):
                self.intents[intent.job_id] = intent.to_item()
            case ForgetIntent(key):
                self.intents.pop(key, None)

    def _latest_image(self, arn: str) -> Image | None:
        image = latest(map(Image.from_api, self.listed[arn]))
        return Image.from_api(self.images[image.arn]) if image and image.is_summary else image

    def _state(self, preset: str) -> AmiState | MalformedRecord | None:
        try:
            return AmiState.from_item(self.records[preset]) if preset in self.records else None
        except MalformedRecord as error:
            return error

    def _commit(self, seen: AmiState, corrected: AmiState) -> Committed | Lost:
        present = self._state(seen.preset_name)
        if not isinstance(present, AmiState) or (present.status, present.updated_at) != ("building", seen.updated_at):
            return Lost(present if isinstance(present, AmiState) else None)
        written = corrected.to_json() | {"reconciledBy": corrected.reconciled_by}
        self.records[seen.preset_name] = {**self.records[seen.preset_name], **written}
        return Committed()
