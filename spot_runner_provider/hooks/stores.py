"""The three stores of the protocol, and which request to AWS each of its calls becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spot_runner_provider.hooks.ami_state import AmiStateHook
from spot_runner_provider.hooks.cancellation import Cancellation
from spot_runner_provider.hooks.image_builder import ImageBuilderHook
from spot_runner_provider.hooks.preset_config import PresetConfigHook
from spot_runner_provider.protocol.calls import (
    Call,
    Commit,
    DescribeConfig,
    FindPipeline,
    ForgetIntent,
    LatestImage,
    LogIntent,
    PutConfig,
    ReadConfig,
    ReadHistory,
    ReadState,
)


@dataclass(frozen=True, slots=True)
class Stores:
    """The three stores of the protocol. Their methods are called from several threads.

    >>> stores = Stores(AmiStateHook(table_name="spot-runner-state"), ImageBuilderHook(), PresetConfigHook())
    >>> stores.connect()
    'us-east-1'
    >>> names = "spot-runner-linux-x64", "spot-runner-linux-riscv64"
    >>> [[pipeline.name for pipeline in found] for found in stores.perform([FindPipeline((name,)) for name in names])]
    [['spot-runner-linux-x64'], []]
    >>> [config.version for config in stores.perform_one(ReadHistory("linux-x64"))]
    [1]
    """

    states: AmiStateHook
    images: ImageBuilderHook
    configs: PresetConfigHook

    def connect(self, cancellation: Cancellation | None = None) -> str:
        """Create all clients now, and return their region. Connections are looked up in this thread only.

        :param cancellation: what stops the clients' calls.
        :raises ConfigurationError: if there is no region, or if no client can be created with the settings.
        """
        self.states.connect(cancellation)
        self.configs.connect(cancellation)
        return self.images.connect(cancellation)

    @property
    def call_timeout(self) -> float:
        """Seconds after which an attempt of a call ends by itself."""
        return self.states.call_timeout

    def perform(self, calls: Sequence[Any]) -> list[Any]:
        """Return the answers to ``calls``, which are all of one kind, in as few requests as AWS allows.

        :raises Exception: what the hook raises; see there. Each call may then have been applied or not.
        """
        match calls[0]:
            case FindPipeline():
                found = self.images.find_pipelines([name for call in calls for name in call.names])
                return [tuple(found[name] for name in call.names if name in found) for call in calls]
            case ReadConfig():
                configs = self.configs.read([call.preset_name for call in calls])
                return [configs[call.preset_name] for call in calls]
            case ReadState():
                states = self.states.read_states([call.preset_name for call in calls])
                return [states[call.preset_name] for call in calls]
            case LogIntent():
                self.states.log_intents([call.intent for call in calls])
            case ForgetIntent():
                self.states.forget_intents([call.job_id for call in calls])
        return [None] * len(calls)

    def perform_one(self, call: Call) -> Any:
        """Return the answer to one call.

        :raises Exception: what the hook raises; see there.
        """
        match call:
            case LatestImage(arn):
                return self.images.latest_image(arn)
            case DescribeConfig(preset, config):
                return self.configs.describe(preset, config)
            case ReadHistory(preset):
                return self.configs.history(preset)
            case Commit(seen, corrected):
                return self.states.commit(seen, corrected)
            case PutConfig(preset, config, text):
                return self.configs.put(preset, config, text)
        return self.perform([call])[0]
