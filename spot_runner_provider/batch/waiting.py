"""Waiting: the results of a batch so far, and the wait for running builds, in the worker or in the triggerer."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from importlib.util import find_spec
from typing import Any, Self

from spot_runner_provider.batch.breaker import Breaker
from spot_runner_provider.protocol.calls import ConfigurationError
from spot_runner_provider.protocol.candidate import Candidate
from spot_runner_provider.protocol.outcome import AWAITED, FAIL_TASKS, Outcome, Result
from spot_runner_provider.records.text import DETAIL_LIMIT, shorten
from spot_runner_provider.reporting.promotion import Promotion

AIOBOTOCORE_REMEDY = "install airflow-provider-spot-runner[aiobotocore], or set deferrable=False"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Build:
    """A running build, and its preset as it was detected: a later commit has the same condition.

    >>> Build("arn:image/linux-x64/1.0.0/7", {"presetName": "linux-x64"}).preset_name
    'linux-x64'
    """

    image_arn: str
    candidate: Mapping[str, Any]

    @property
    def preset_name(self) -> str:
        """The name of its preset."""
        return str(self.candidate["presetName"])


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch is.

    ``results`` are those of all presets, as XCom has them. ``promotions`` are announced once the task succeeds.
    ``builds`` are still running and waited for. ``unseen`` are images that the last look could not see, each with the
    reason. ``barred`` are presets that the wait gave up because a person must fix something first.

    >>> from spot_runner_provider.records.ami_state import AmiState, Status
    >>> seen = AmiState("linux-x64", Status.BUILDING, "2026-02-11T15:35:48.123Z", "ami-0a1d")
    >>> found = Result.of(seen, "linux-x64", Outcome.STILL_BUILDING, image_arn="arn:image")
    >>> progress = Progress.of([found, Result("linux-arm64", Outcome.SUPERSEDED)], [Candidate("linux-x64", seen)])
    >>> [build.image_arn for build in progress.builds]
    ['arn:image']

    Once that build has ended:

    >>> [ended] = progress.those_of(["arn:image"])
    >>> Candidate.from_json(ended).state == seen
    True
    >>> later = progress.then(Progress.of([Result.of(seen, "linux-x64", Outcome.CORRECTED_READY)]))
    >>> [result["outcome"] for result in later.results], later.builds
    (['corrected_ready', 'superseded'], ())

    Or if the wait ends before that:

    >>> progress.given_up("waited 60 minutes").results[0]["detail"]
    'waited 60 minutes for it'
    >>> refused = progress.refused({"arn:image": "Access denied"})
    >>> refused.results[0]["outcome"], refused.barred
    ('refused', ('linux-x64',))
    >>> Progress.from_json(progress.to_json()) == progress
    True
    """

    results: tuple[Mapping[str, Any], ...]
    promotions: tuple[Promotion, ...]
    builds: tuple[Build, ...]
    unseen: Mapping[str, str] = field(default_factory=dict)
    barred: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, results: Sequence[Result], candidates: Iterable[Candidate] = (), promotions: Iterable[Promotion] = ()
    ) -> Self:
        """Return the progress after reconciling ``candidates``."""
        by_name = {candidate.preset_name: candidate.to_json() for candidate in candidates}
        return cls(
            results=tuple(result.to_json() for result in results),
            promotions=tuple(promotions),
            builds=tuple(
                Build(result.image_arn, by_name[result.preset_name])
                for result in results
                if result.outcome in AWAITED and result.image_arn and not result.dry_run
            ),
        )

    @property
    def failed(self) -> list[str]:
        """The presets that ended in an error."""
        return [str(result["presetName"]) for result in self.results if result["outcome"] in FAIL_TASKS]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        return cls(
            results=tuple(value["results"]),
            promotions=tuple(Promotion(**each) for each in value["promotions"]),
            builds=tuple(Build(**each) for each in value["builds"]),
            unseen=value["unseen"],
            barred=tuple(value["barred"]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the progress as plain JSON values, for a deferral."""
        return {
            "results": [dict(each) for each in self.results],
            "promotions": [asdict(each) for each in self.promotions],
            "builds": [{"image_arn": each.image_arn, "candidate": dict(each.candidate)} for each in self.builds],
            "unseen": dict(self.unseen),
            "barred": list(self.barred),
        }

    def those_of(self, image_arns: Collection[str]) -> list[Mapping[str, Any]]:
        """Return the candidates that these images belong to."""
        return [build.candidate for build in self.builds if build.image_arn in image_arns]

    def then(self, later: Progress) -> Self:
        """Return the progress after some of the builds were reconciled again."""
        new = {str(result["presetName"]): result for result in later.results}
        return replace(
            self,
            results=tuple(
                new.get(result["presetName"], result) if result["outcome"] in AWAITED else result
                for result in self.results
            ),
            promotions=(*self.promotions, *later.promotions),
            builds=(*(build for build in self.builds if build.preset_name not in new), *later.builds),
            barred=(*self.barred, *later.barred),
        )

    def given_up(self, waited: str) -> Self:
        """Return the progress when the wait is given up: the remaining builds are not waited for any more.

        :param waited: how long the wait took; it is added to their results.
        """
        unseen = {arn: f"{waited}, and the last look failed: {why}" for arn, why in self.unseen.items()}
        seen = {build.image_arn: f"{waited} for it" for build in self.builds if build.image_arn not in unseen}
        return self._without(unseen, Outcome.ERROR)._without(seen)

    def refused(self, why: Mapping[str, str]) -> Self:
        """Return the progress without the builds that nobody may look at.

        :param why: what a person must fix, by image.
        """
        names = [build.preset_name for build in self.builds if build.image_arn in why]
        return replace(self._without(why, Outcome.REFUSED), barred=(*self.barred, *names))

    def _without(self, why: Mapping[str, str], outcome: Outcome | None = None) -> Self:
        told = {build.preset_name: why[build.image_arn] for build in self.builds if build.image_arn in why}
        return replace(
            self,
            results=tuple(
                {
                    **result,
                    "outcome": outcome.value if outcome else result["outcome"],
                    "detail": shorten(
                        "; ".join(filter(None, (told[result["presetName"]], result["detail"]))), DETAIL_LIMIT
                    ),
                }
                if result["presetName"] in told and result["outcome"] in AWAITED
                else result
                for result in self.results
            ),
            builds=tuple(build for build in self.builds if build.preset_name not in told),
        )


@dataclass(slots=True)
class Watch:
    """The images that are waited for, with one rule for the worker and the triggerer.

    The wait ends with the look that finds a build finished, or with the last look at the deadline. It also ends when
    no image is left to look at, because a person must fix something first. A passing error does not end it: the next
    look tries again.

    If nobody may look at one image, the others are still waited for. An error that is not about one image, such as a
    call without an answer, is met once per look.

    :param awaited: the images.
    :param deadline: when to look for the last time.
    :param poll_interval: seconds from one look to the next.

    >>> watch = Watch(["arn:image/a", "arn:image/b"], deadline=datetime(2026, 2, 11, 17), poll_interval=60)
    >>> watch.pause(datetime(2026, 2, 11, 16))
    60
    >>> with watch.look() as images:
    ...     for arn in images:
    ...         with watch.looking_at(arn):
    ...             raise ConfigurationError("Access denied") if arn == "arn:image/a" else TimeoutError("no answer")
    >>> watch.is_over, watch.awaited, watch.event()
    (False, ['arn:image/b'], {'finished': [], 'refused': {'arn:image/a': 'Access denied'}, 'unseen': ...})
    >>> with watch.look() as images:
    ...     for arn in images:
    ...         with watch.looking_at(arn):
    ...             watch.saw(arn, is_building=False)
    >>> watch.is_over, watch.event()
    (True, {'finished': ['arn:image/b'], 'refused': {'arn:image/a': 'Access denied'}, 'unseen': {}})
    """

    awaited: list[str]
    deadline: datetime
    poll_interval: int
    finished: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """The images that nobody may look at, and what a person must fix."""
    unseen: dict[str, str] = field(default_factory=dict)
    """The images that the last look could not see, and why."""
    _is_last: bool = False
    _breaker: Breaker = field(default_factory=Breaker)

    @property
    def is_over(self) -> bool:
        """Whether the wait has ended."""
        return bool(self.finished) or not self.awaited or self._is_last

    def pause(self, now: datetime) -> float:
        """Return the seconds until the next look."""
        left = (self.deadline - now).total_seconds()
        self._is_last = left <= self.poll_interval
        return max(0, min(self.poll_interval, left))

    @contextmanager
    def look(self) -> Iterator[Iterator[str]]:
        """Look once at the images that are yielded. Any other error in this context means that none can be seen."""
        self.unseen, self._breaker = {}, Breaker()
        try:
            yield self._images()
        except ConfigurationError as error:
            self.refused |= dict.fromkeys(self.awaited, shorten(str(error), DETAIL_LIMIT))
            self.awaited.clear()
        except Exception as error:
            self._missed(self.awaited, error)

    def _images(self) -> Iterator[str]:
        for arn in tuple(self.awaited):
            if refusal := self._breaker.refusal(Watch):
                self.unseen[arn] = shorten(str(refusal), DETAIL_LIMIT)
            else:
                yield arn

    @contextmanager
    def looking_at(self, image_arn: str) -> Iterator[None]:
        """Give up the image if a person must fix something before anybody can look at it; otherwise try again later."""
        try:
            yield
        except ConfigurationError as error:
            self.awaited.remove(image_arn)
            self.refused[image_arn] = shorten(str(error), DETAIL_LIMIT)
        except Exception as error:
            self._breaker.failed(Watch, [image_arn], error)
            self._missed([image_arn], error)
        else:
            self._breaker.worked(Watch)

    def saw(self, image_arn: str, *, is_building: bool) -> None:
        """Note what a look at an image found."""
        if not is_building:
            self.finished.append(image_arn)

    def _missed(self, image_arns: Sequence[str], error: Exception) -> None:
        told = shorten(f"{type(error).__name__}: {error}", DETAIL_LIMIT)
        self.unseen |= dict.fromkeys(image_arns, told)
        log.warning("%s: could not look, trying again until %s: %s", ", ".join(image_arns), self.deadline, told)

    def event(self) -> dict[str, Any]:
        """Return the result of the wait: the finished images, and why others could not be seen."""
        return {"finished": self.finished, "refused": self.refused, "unseen": self.unseen}


def can_defer() -> bool:
    """Return whether aiobotocore, with which the triggerer calls AWS, is installed.

    >>> can_defer()
    True
    """
    return find_spec("aiobotocore") is not None
