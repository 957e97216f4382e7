"""The write protocol for one preset.

Theory of operation
-------------------

A preset's state is in two places: a record in DynamoDB and a parameter in SSM. The record is the truth, and the
parameter follows it. No transaction spans the two, and SSM has no compare-and-set. Other programs may write both at any
moment: the handler of Image Builder's event, people who edit the parameter, the program that starts the next build, and
our own other runs.

The steps:

1. **Look up** the pipeline and its latest image, and judge it. If the build is still running, or its state says
   nothing certain, the try ends here and writes nothing. It also ends here if several pipelines may be the preset's.
2. A build that **failed** takes one conditional update of the record. The record keeps its AMI, so the parameter is
   already right. If pipelines are named in several ways, the parameter is read first, because an image for another
   platform is not the preset's.
3. A build that **succeeded** takes five steps:

   - **read** the parameter, and stop before anything is written if it cannot be updated, or is for another platform
     than the image;
   - **log** an intent: a note in the same table that the parameter may be about to change, with its version;
   - **commit** the record, on condition that it is unchanged since it was detected;
   - make the parameter **follow** the record;
   - **forget** the intent.

The commit is the write that decides. A try whose commit fails leaves the parameter alone.

*Following* is a loop, because a put may overwrite somebody's edit. SSM answers each put with a version. If it is the
next version, nobody wrote in between. If it is not, the versions in between show which edits were overwritten, and
another put restores them. After each put the record is read again. If it names a newer AMI by then, the parameter
follows that one.

*An intent* outlives the try that logged it. If a worker dies between commit and put, the record no longer looks stale,
and only the intent shows that the parameter is behind. A later run finishes every intent that is older than five
minutes: the parameter follows whatever the record says by then. A retry of the same run finds the intent sooner, while
the first try may still be alive. Both intents then stay until the next run. An intent may be dropped only if another
intent names it, because a try forgets its own intent without knowing who else relies on it.

*A reply may be lost* after its write was applied. A commit that is repeated then fails its own condition, but the
record carries the signature of the run. A put whose reply was lost is found among the versions by its text.

The protocol does no I/O. :func:`reconcile` is a generator. It yields one
:class:`~spot_runner_provider.protocol.calls.Call` after the other. It is sent the answer to each, or has an exception
thrown in, and it returns a :class:`~spot_runner_provider.protocol.outcome.Result`. So the same code runs in a batch,
which bundles the calls of many presets, and in a test that tries every interleaving.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, TypeVar

from spot_runner_provider.protocol.calls import (
    AmbiguousPut,
    Busy,
    Call,
    Commit,
    Committed,
    DescribeConfig,
    FindPipeline,
    ForgetIntent,
    LatestImage,
    LogIntent,
    Lost,
    Pause,
    PutConfig,
    PutsInVain,
    ReadConfig,
    ReadHistory,
    ReadState,
    Refused,
    Throttled,
)
from spot_runner_provider.protocol.candidate import Candidate, Run
from spot_runner_provider.protocol.outcome import Outcome, Replacement, Result
from spot_runner_provider.records.ami_state import AmiState, MalformedRecord, Status, job_id, render_timestamp
from spot_runner_provider.records.arn import Arn
from spot_runner_provider.records.image import BuildState, Image, Pipeline, UndatedImage, is_pipeline_name, judge
from spot_runner_provider.records.intent import Intent, base_of, key_of, redundant
from spot_runner_provider.records.parameter import (
    ConfigVersion,
    InvalidConfig,
    ami_of,
    check_platform,
    merge,
    merge_covered,
    platform_of,
    replaced_ami,
)
from spot_runner_provider.records.platform import Platform
from spot_runner_provider.records.text import shorten

CLOCK_SKEW = timedelta(seconds=60)
"""``updatedAt`` is set this much before the lookup. Other writers drop their event if ``updatedAt`` is not older than
their own clock. With a later value, and a clock that runs ahead, they could drop a newer build."""

MAX_ROUNDS = 20
"""Puts in vain after which the parameter is left to the next try; the intent stays."""


Answer = TypeVar("Answer")
Flow = Generator[Call, Any, Answer]


# The protocol.


def reconcile(candidate: Candidate, run: Run) -> Flow[Result]:
    """Correct the preset's record and parameter if they are wrong, and finish what dead tries left.

    :return: the result, as the value of ``StopIteration``.
    :raises ValueError: if the record is not ``building`` and there is no intent, so there is nothing to do.
    :raises Refused: what a store threw in, after tidying up.
    :raises PutsInVain: what the wait for a put threw in, or after :data:`MAX_ROUNDS`.

    >>> run = Run("dag/run", "reconcile_preset/0/1", "us-east-1", clock=lambda: datetime(2026, 2, 11, 16))
    >>> seen = AmiState("linux-x64", Status.BUILDING, "2026-02-11T15:35:48.123Z", "ami-0a1d")
    >>> flow = reconcile(Candidate("linux-x64", seen), run)
    >>> next(flow)
    FindPipeline(names=('spot-runner-linux-x64',))
    >>> arn = "arn:aws:imagebuilder:us-east-1:123456789012:image-pipeline/spot-runner-linux-x64"
    >>> flow.send((Pipeline("spot-runner-linux-x64", arn),))
    LatestImage(pipeline_arn='arn:aws:imagebuilder:us-east-1:123456789012:image-pipeline/spot-runner-linux-x64')
    >>> flow.send(Image("arn:aws:imagebuilder:us-east-1:123456789012:image/linux-x64/1.0.0/7", "TESTING", created=None))
    Traceback (most recent call last):
        ...
    StopIteration: Result(preset_name='linux-x64', outcome=<Outcome.STILL_BUILDING: 'still_building'>, ...)
    """
    result = own = None
    # However many tries die or fail, two intents are left: the last one, and the one before it, which it names.
    yield from _forget([] if run.dry_run else redundant(candidate.standing))
    if candidate.state is not None and candidate.state.status is Status.BUILDING:
        result, corrected = yield from _look_up(candidate.state, run)
        if corrected is not None and corrected.status is Status.FAILED:
            result = yield from _commit_failed(candidate.state, corrected, result, run)
        elif corrected is not None:
            result, own = yield from _commit_ready(candidate, candidate.state, corrected, result, run)
    if candidate.intents and own is None:
        finished = yield from _finish(candidate, run)
        if result is None or finished.outcome is Outcome.CONFIG_INVALID:
            result = finished
        else:
            result = replace(result, replacement=_joined(result.replacement, finished.replacement))
    if result is None:
        raise ValueError(f"preset {candidate.preset_name} is neither building nor unfinished")
    return result


def _look_up(seen: AmiState, run: Run) -> Flow[tuple[Result, AmiState | None]]:
    """Find out what became of the build.

    :return: a draft of the result, and the record as it should be; or the result, and ``None``.
    """
    looked_up_at = run.clock()
    draft = _draft(seen, seen.preset_name, run)

    possible = tuple(filter(is_pipeline_name, run.pipelines_of(seen.preset_name)))
    found: tuple[Pipeline, ...] = (yield FindPipeline(possible)) if possible else ()
    if len(found) != 1:
        return _not_one_pipeline(draft, [pipeline.name for pipeline in found], run), None
    (pipeline,) = found
    for other in run.presets_of(pipeline.name):
        if other != seen.preset_name and (yield from _exists(other)):
            return _not_its_own(draft, pipeline, other), None
    draft = replace(draft, pipeline_arn=pipeline.arn)

    try:
        image: Image | None = yield LatestImage(pipeline.arn)
    except UndatedImage as error:
        return replace(
            draft,
            outcome=Outcome.NO_USABLE_AMI,
            detail=f"{error}; record unchanged. Delete that image in Image Builder: a new build does not help",
        ), None
    if image is None:
        return replace(
            draft,
            outcome=Outcome.NO_IMAGES,
            detail=_join(
                f"pipeline {pipeline.name!r} has no images; record unchanged. Start a build", _disabled(pipeline)
            ),
        ), None
    draft = replace(
        draft,
        image_arn=image.arn,
        image_state=image.status,
        log_group=image.log_group,
        platform=image.platform or pipeline.platform,
    )
    return _judged(seen, draft, pipeline, image, looked_up_at, run)


def _judged(
    seen: AmiState, draft: Result, pipeline: Pipeline, image: Image, looked_up_at: datetime, run: Run
) -> tuple[Result, AmiState | None]:
    """Return what the latest image says, as :func:`_look_up` does."""
    arn = Arn.parse(pipeline.arn)
    verdict = judge(image, region=run.region, account=arn.account if arn else "")
    if verdict.state is BuildState.BUILDING:
        if image.created and run.stuck_after and looked_up_at - image.created > run.stuck_after:
            return _stuck(draft, verdict.reason, image.created), None
        return replace(draft, outcome=Outcome.STILL_BUILDING, detail=verdict.reason), None
    if verdict.state is BuildState.UNUSABLE:
        return replace(
            draft,
            outcome=Outcome.NO_USABLE_AMI,
            detail=f"{verdict.reason}; record unchanged. {verdict.remedy}",
        ), None

    at = looked_up_at - CLOCK_SKEW
    if verdict.state is BuildState.FAILED:
        return replace(draft, detail=_disabled(pipeline)), seen.now_failed(
            verdict.reason, build_id=image.arn, at=at, by=run.owner
        )

    assert verdict.ami_id is not None
    if image.created and image.created < seen.updated:
        draft = replace(
            draft, warn=True, detail=f"the image was created before the record's updatedAt {seen.updated_at}"
        )
    return draft, seen.now_ready(verdict.ami_id, build_id=image.arn, at=at, by=run.owner)


def _exists(preset: str) -> Flow[bool]:
    try:
        state: AmiState | None = yield ReadState(preset)
    except MalformedRecord:
        return True
    return state is not None


def _commit_failed(seen: AmiState, corrected: AmiState, draft: Result, run: Run) -> Flow[Result]:
    reason = corrected.error_message or ""
    if draft.platform and len(run.pipeline_names) > 1:
        config: ConfigVersion | None = yield ReadConfig(seen.preset_name)
        try:
            _check_built(config, draft)
        except InvalidConfig as error:
            return _refused_before(error, draft, run)
    if run.dry_run:
        detail = _join(draft.detail, f"dry run: would set failed ({reason})")
        return replace(draft, outcome=Outcome.CORRECTED_FAILED, detail=detail)
    committed = yield Commit(seen, corrected)
    record = _own(committed, corrected, run)
    if record is None:
        return _superseded(draft, committed)
    if record.status is Status.READY:  # by an earlier try, which saw the build before this one
        corrected_ready = _corrected(draft, record, record, detail="set by an earlier try; the next run finishes it")
        return replace(corrected_ready, status=Status.BUILDING)
    return _corrected(draft, record, record, detail=_join(draft.detail, record.error_message or ""))


def _commit_ready(
    candidate: Candidate, seen: AmiState, corrected: AmiState, draft: Result, run: Run
) -> Flow[tuple[Result, Intent | None]]:
    """Read, log, commit, follow, forget.

    :return: the result, and our intent if it must stay until the next run, which then finishes everything.
    """
    preset, ami_id = seen.preset_name, corrected.ami_id
    assert ami_id is not None
    try:
        config = yield from _read(preset, ami_id, draft)
    except InvalidConfig as error:
        return _refused_before(error, draft, run), None
    if run.dry_run:
        before = "another value" if config.secure else ami_of(config)
        detail = _join(f"dry run: would set ready with {ami_id}, and ami from {before}", draft.detail)
        return replace(draft, outcome=Outcome.CORRECTED_READY, detail=detail), None

    intent = _intent(corrected, config, run, draft.platform).standing_for(candidate.standing)
    yield LogIntent(intent)
    try:
        committed = yield Commit(seen, corrected)
    except Refused:
        if not candidate.standing:  # else ours stands for them
            yield ForgetIntent(intent.job_id)
        raise
    record = _own(committed, corrected, run)
    if record is None:
        result, alone = yield from _give_way(committed, seen, config, intent, draft, run)
    elif record.status is Status.FAILED:  # by an earlier try, which saw the build before this one
        result, alone = _corrected(draft, record, record, detail=record.error_message or ""), True
    else:
        repeated = run.repeated and isinstance(committed, Lost)
        result, alone = yield from _follow_up(record, config, intent, draft, run, repeated=repeated)
    # Race: an earlier try may be alive and put after us, and a later one may have dropped its intent because of ours.
    if not alone or candidate.living:
        return result, intent
    if not candidate.intents:  # else ours stays while those are finished
        yield ForgetIntent(intent.job_id)
    return result, None


def _read(preset: str, ami_id: str, draft: Result) -> Flow[ConfigVersion]:
    """Read the parameter.

    :raises InvalidConfig: if it is missing, cannot be updated, has no room for the AMI, or is for another platform than
        the image.
    """
    config: ConfigVersion | None = yield ReadConfig(preset)
    if config is None:
        raise InvalidConfig.missing()
    text = merge([config], ami_id)
    _check_built(config, draft)
    if config.tier is None and not config.with_text(text, config.version).fits:
        config = yield DescribeConfig(preset, config)
    if not config.with_text(text, config.version).fits:
        raise InvalidConfig.too_large(config.tier)
    return config


def _give_way(
    lost: Lost, seen: AmiState, config: ConfigVersion, intent: Intent, draft: Result, run: Run
) -> Flow[tuple[Result, bool]]:
    """Leave the record to the program that changed it.

    If the new record carries our AMI, our commit was applied: its reply was lost, and another program replaced the
    record before the repetition. If that program's build failed, the parameter follows now. If it is still running, our
    intent stays.

    :return: the result, and whether our intent is no longer needed.
    """
    present, given_way = lost.present, _superseded(draft, lost)
    if present and present.ami_id == intent.ami_id != seen.ami_id:
        if present.status is Status.BUILDING:
            return given_way, False
        if present.status is Status.FAILED:
            try:
                followed = yield from _Following(present, [config], run, intent).follow()
            except InvalidConfig:
                return given_way, False
            return replace(given_way, replacement=followed.replacement), followed.alone
    return given_way, True


def _follow_up(
    record: AmiState, config: ConfigVersion, intent: Intent, draft: Result, run: Run, *, repeated: bool
) -> Flow[tuple[Result, bool]]:
    """Let the parameter follow our commit.

    :param repeated: whether an earlier try made the commit. It may have written the parameter, too.
    :return: the result, and whether nobody wrote in between. If somebody did, the intent must stay. A person who read
        the parameter after our put overwrote an edit may still write that back. A put whose reply was lost may still
        arrive.
    """
    try:
        followed = yield from _Following(record, [config], run, intent).follow()
    except InvalidConfig as error:
        result = replace(
            _corrected(draft, record, record, detail=""),
            outcome=Outcome.CONFIG_INVALID,
            status=Status.BUILDING,
            detail=f"{_what(error, record.preset_name, run)}; the record is ready already. {error.remedy}. "
            "The next run finishes it",
        )
        return result, False
    replacement = followed.replacement
    detected = None if draft.previous_ami_id == record.ami_id else draft.previous_ami_id
    if replacement and config.secure:
        replacement = replace(replacement, previous_ami_id=detected)
    elif replacement is None and repeated:
        before = detected or replaced_ami((yield ReadHistory(record.preset_name)))
        replacement = _replacement_of_earlier_try(record, before)
    result = _corrected(draft, record, followed.record, detail=draft.detail)
    return replace(result, replacement=replacement), followed.alone


@dataclass(frozen=True, slots=True)
class _Followed:
    """The result of following: the record as last seen, and what our puts replaced.

    ``alone``: each put came right after the version that it was made from.
    """

    record: AmiState
    alone: bool
    replacement: Replacement | None


class _Put(Enum):
    """The result of a put: nobody wrote in between; somebody did, or may have; SSM refused it for now."""

    ALONE = auto()
    IN_VAIN = auto()
    THROTTLED = auto()


class _Following:
    """Makes the parameter follow the record; holds what one try knows of both, and what its puts may have overwritten.

    :param record: the present record.
    :param history: versions of the parameter, oldest first; the newest is its present value.
    :param intent: our own intent, which is renewed before it looks abandoned.
    :param base: the version that the first put of this try, or of a dead one, was made from; the newest if omitted.
    :param until: as in :func:`~spot_runner_provider.records.parameter.merge`.
    :param unless_put: the intent that replaces ours if no put is made after all; ours, as it was given, if omitted.
    """

    def __init__(
        self,
        record: AmiState,
        history: Sequence[ConfigVersion],
        run: Run,
        intent: Intent,
        *,
        base: int | None = None,
        until: datetime | None = None,
        unless_put: Intent | None = None,
    ) -> None:
        self._record = record
        self._history = history
        self._run = run
        self._intent = intent
        self._base = history[-1].version if base is None else base
        self._until = until
        self._unless_put: Intent | None = unless_put or intent
        self._first: ConfigVersion | None = None
        """The version that our first put was made from."""
        self._covering: tuple[ConfigVersion, ConfigVersion] | None = None
        """The version that our last put was made from, and that put, if it overwrote somebody else's."""
        self._alone = True
        self._replacement: Replacement | None = None

    def follow(self) -> Flow[_Followed]:
        """Put until the parameter names the AMI that the record names afterwards.

        :raises InvalidConfig: if the parameter is gone, no longer holds a JSON object, or is for another platform than
            the intent's AMI by now.
        :raises PutsInVain: after :data:`MAX_ROUNDS`.
        """
        in_vain = 0
        while in_vain < MAX_ROUNDS:
            ami_id = self._record.usable_ami
            assert ami_id is not None
            text = self._merged(ami_id)
            if text != self._history[-1].text:
                put = yield from self._put(text)
                if put is _Put.THROTTLED:  # waiting is not in vain
                    if (yield from self._wait(ami_id)):
                        continue
                    return self._followed()
                if put is _Put.IN_VAIN:
                    in_vain += 1
                    continue
                _check_intended(self._history[-1], ami_id, self._intent)
            # Race: a newer build's event may have replaced the record, and put the parameter right before our put
            # overwrote it.
            present: AmiState | None = yield ReadState(self._record.preset_name)
            if present is None:
                return self._followed()
            self._record = present
            if present.usable_ami in (None, ami_id):
                return self._followed()
            in_vain += 1
        parameter = self._run.parameter_of(self._record.preset_name)
        raise PutsInVain(f"others changed {parameter}, or no reply came, {MAX_ROUNDS} times")

    def _merged(self, ami_id: str) -> str:
        """Return the value that the parameter must have.

        :raises InvalidConfig: if the newest version cannot be updated, or is for another platform than the AMI.
        """
        newest = self._history[-1]
        _check_intended(newest, ami_id, self._intent)
        text = self._merged_with(ami_id)
        try:
            _check_intended(merged := newest.with_text(text, newest.version), ami_id, self._intent)
        except InvalidConfig:
            # Race: somebody edited the platform before a put of ours, or of a dead try, which overwrote the edit. It
            # comes back, with the AMI that it was made beside.
            platform = platform_of(merged)
            edited = next(version for version in reversed(self._history) if platform_of(version) is platform)
            return self._merged_with(ami_of(edited))
        return text

    def _merged_with(self, ami_id: str | None) -> str:
        """Return the newest value with that AMI, and with the edits that puts overwrote."""
        if self._covering:
            base, put = self._covering
            return merge_covered(self._history, ami_id, base=base, put=put)
        return merge(self._history, ami_id, base=self._base, until=self._until)

    def _put(self, text: str) -> Flow[_Put]:
        """Put, and return the result."""
        newest = self._history[-1]
        if not newest.with_text(text, newest.version).fits:
            raise InvalidConfig.too_large(newest.tier)
        yield from self._renew()
        try:
            version: int | None = yield PutConfig(self._record.preset_name, newest, text)
        except Throttled:
            return _Put.THROTTLED
        except Busy:
            # Race: somebody else's put is in progress, and ours must not overwrite what it writes.
            yield from self._read_history()
            return _Put.IN_VAIN
        except Refused:
            # No put can have overwritten what others edit from now on.
            if self._unless_put and self._unless_put.puts_until:
                yield LogIntent(self._unless_put)
            raise
        except AmbiguousPut:
            version = None
        self._unless_put = None
        if version != newest.version + 1:
            # Race: somebody put between our read and our put, which overwrote that; or there is no reply to tell.
            self._alone = False
            yield from self._read_history()
            version = version or self._found(text, newest)
            if version:
                self._covering = newest, newest.with_text(text, version)
                self._replaced(newest)
            return _Put.IN_VAIN
        self._history = [*self._history, newest.with_text(text, version)]
        self._base, self._until, self._covering = version, None, None
        self._replaced(newest)
        return _Put.ALONE

    def _wait(self, ami_id: str) -> Flow[bool]:
        """Wait until SSM may accept the put of ``ami_id``, and return whether the record still needs a put."""
        while not (yield Pause()):
            yield from self._renew()
        # Race: while we waited, the handler of a newer build's event may have replaced the record.
        present: AmiState | None = yield ReadState(self._record.preset_name)
        if present is not None:
            self._record = present
        if present is not None and present.usable_ami is not None:
            yield from self._read_history()
            return True
        # A build that is still running may fail and keep an AMI that was not put. Only the intent shows that.
        keeps = present is not None and present.ami_id == ami_id
        self._alone = self._alone and not keeps
        return False

    def _renew(self) -> Flow[None]:
        """Log our intent again before it looks abandoned."""
        if self._intent.is_due(now := self._run.clock()):
            self._intent = self._intent.renewed(now)
            yield LogIntent(self._intent)

    def _read_history(self) -> Flow[None]:
        self._history = yield from _history(self._record.preset_name)

    def _found(self, text: str, newest: ConfigVersion) -> int | None:
        """Return the version that a put whose reply was lost made after ``newest``, if there is one."""
        later = (each.version for each in self._history if each.version > newest.version and each.text == text)
        return next(later, None)

    def _replaced(self, newest: ConfigVersion) -> None:
        self._first = self._first or newest
        self._replacement = _replacement(self._first, self._record)

    def _followed(self) -> _Followed:
        return _Followed(self._record, self._alone, self._replacement)


def _finish(candidate: Candidate, run: Run) -> Flow[Result]:
    """Finish what dead tries left: let the parameter follow the present record, and forget their intents.

    While the record is still ``building`` the intents stay, because a try that was taken for dead could still commit.
    """
    preset = candidate.preset_name
    record: AmiState | None = yield ReadState(preset)
    draft = _draft(record, preset, run)
    followed: _Followed | None = None
    if record is not None and record.status is Status.BUILDING:
        # Race: a try that was taken for dead may be alive and commit. Its intent is needed then.
        return replace(draft, outcome=Outcome.STILL_BUILDING, detail="an earlier run's try stands unfinished")
    if record is not None and record.usable_ami is None and (record.ami_id or record.status is Status.READY):
        if not run.dry_run:
            yield from _forget_all(candidate, run)
        return replace(
            draft,
            outcome=Outcome.NO_USABLE_AMI,
            detail=f"the record is {record.status}, but its amiId is {_quoted(record.ami_id)}, no AMI id; record and "
            "parameter unchanged. Write the right AMI id into the record and into the parameter's key ami, or start a "
            "build",
        )
    if record is not None and record.usable_ami is not None:
        try:
            history, merged = yield from _before_finishing(record, candidate, run)
            if not run.dry_run:
                followed = yield from _finish_put(record, candidate, run, history, merged)
        except InvalidConfig as error:
            return replace(
                draft,
                outcome=Outcome.CONFIG_INVALID,
                status=Status.BUILDING,
                detail=f"{_what(error, preset, run)}; an earlier run's try stands unfinished. {error.remedy}. "
                "The next run finishes it",
            )
    if run.dry_run:
        return replace(draft, outcome=Outcome.FINISHED, detail="dry run: would finish an earlier run's try")
    if followed is not None:
        draft = replace(_draft(followed.record, preset, run), replacement=followed.replacement)
        if not followed.alone:
            return replace(draft, outcome=Outcome.FINISHED, detail="finished; the next run looks at it again")
    yield from _forget_all(candidate, run)
    return replace(
        draft,
        outcome=Outcome.FINISHED,
        detail="finished what an earlier run's try left undone" if record else "the record is gone",
    )


def _before_finishing(record: AmiState, candidate: Candidate, run: Run) -> Flow[tuple[Sequence[ConfigVersion], Intent]]:
    """Return the parameter's versions, and an intent of our own that stands for those of the dead tries.

    It begins at the oldest version of theirs. If this try dies, too, whoever finishes it then sees every edit that any
    of these tries may have overwritten.

    :raises InvalidConfig: if the parameter is missing, cannot be updated, or is for another platform.
    """
    history = yield from _history(record.preset_name)
    known = (intent.platform for intent in candidate.standing if intent.platform and intent.ami_id == record.ami_id)
    merged = _intent(record, history[-1], run, next(known, None)).standing_for(candidate.standing)
    merge(history[-1:], record.usable_ami)
    _check_intended(history[-1], record.ami_id, merged)
    return history, merged


def _finish_put(
    record: AmiState, candidate: Candidate, run: Run, history: Sequence[ConfigVersion], merged: Intent
) -> Flow[_Followed]:
    """Let the parameter follow under an intent of our own, because the dead tries' intents know nothing of our puts."""
    base, until = base_of(candidate.standing), max(intent.last_put_at for intent in candidate.standing)
    own = replace(merged, puts_until=None)
    yield LogIntent(own)
    try:
        following = _Following(record, history, run, own, base=base, until=until, unless_put=merged)
        followed: _Followed = yield from following.follow()
    except Refused:
        yield from _forget(candidate.intents)  # ours stands for theirs
        raise
    if followed.replacement is None and run.repeated:
        before = replaced_ami([version for version in history if version.version >= base])
        return replace(followed, replacement=_replacement_of_earlier_try(followed.record, before))
    return followed


def _forget(intents: Iterable[Intent]) -> Flow[None]:
    for intent in intents:
        yield ForgetIntent(intent.job_id)


def _forget_all(candidate: Candidate, run: Run) -> Flow[None]:
    """Forget the intents that dead tries left. Forget ours, too, unless it may stand for that of a living try."""
    if not candidate.living:
        yield ForgetIntent(key_of(candidate.preset_name, run.signature))
    yield from _forget(candidate.intents)


def _check_built(config: ConfigVersion | None, draft: Result) -> None:
    """Check that the image is for the parameter's platform.

    :raises InvalidConfig: if it is for another platform.
    """
    if config is not None:
        check_platform(config, f"image {draft.image_arn}", draft.platform)


def _check_intended(config: ConfigVersion, ami_id: str | None, intent: Intent) -> None:
    """Check that the intent's AMI is for the parameter's platform.

    Race: somebody may have changed the parameter's platform since the intent was logged.

    :param ami_id: the record's AMI by now. If it is another one, only a call would tell its platform.
    :raises InvalidConfig: if it is for another platform.
    """
    if ami_id == intent.ami_id:
        check_platform(config, f"AMI {ami_id}", intent.platform)


def _intent(record: AmiState, config: ConfigVersion, run: Run, platform: Platform | None) -> Intent:
    """Return the intent of this try to let a parameter, now at ``config``, follow ``record``."""
    return Intent.of(
        record.preset_name,
        owner=run.signature,
        at=run.clock(),
        param_version=config.version,
        ami_id=record.ami_id or "",
        build_id=record.build_id or "",
        platform=platform,
    )


def _history(preset: str) -> Flow[Sequence[ConfigVersion]]:
    history: Sequence[ConfigVersion] = yield ReadHistory(preset)
    if not history:
        raise InvalidConfig.missing()
    return history


# Presets with nothing to do.


def untouched(state: AmiState) -> Result:
    """Return the result of a preset that is not reconciled.

    >>> untouched(AmiState("linux-x64", Status.READY, "2026-02-11T15:35:48.123Z", "ami-0a1d")).detail
    'the record is ready: nothing to reconcile'
    """
    return Result.of(state, state.preset_name, None, detail=f"the record is {state.status}: nothing to reconcile")


def retold(state: AmiState, history: Sequence[ConfigVersion]) -> Result:
    """Return the result of an earlier try of the same run again, as far as record and parameter show it.

    :param state: the record, which that try signed; how it was detected is not known.
    :param history: the versions of the parameter that SSM still has, oldest first, if the record is ready.
    :raises InvalidConfig: if the parameter cannot be updated.

    >>> state = AmiState("linux-x64", Status.READY, "2026-02-11T15:35:48.123Z", "ami-0e3f", "arn:of-the-build")
    >>> history = [ConfigVersion(1, '{"ami": "ami-0a1d"}'), ConfigVersion(2, '{"ami": "ami-0e3f"}')]
    >>> result = retold(state, history)
    >>> result.outcome.value, result.replacement.previous_ami_id
    ('corrected_ready', 'ami-0a1d')
    """
    if state.status is Status.FAILED:
        return replace(untouched(state), outcome=Outcome.CORRECTED_FAILED, detail=state.error_message or "")
    if state.ami_id is None or not history or ami_of(history[-1]) != state.ami_id:
        return untouched(state)
    before = replaced_ami(history)
    return replace(
        untouched(state),
        outcome=Outcome.CORRECTED_READY,
        detail="by an earlier try",
        previous_ami_id=before,
        replacement=_replacement_of_earlier_try(state, before),
    )


# Its pure pieces.


def _refused_before(error: InvalidConfig, draft: Result, run: Run) -> Result:
    """Return the result of a preset for which nothing was written, because of its parameter."""
    detail = f"{_what(error, draft.preset_name, run)}; record and parameter unchanged. {error.remedy}"
    return replace(draft, outcome=Outcome.CONFIG_INVALID, detail=detail)


def _what(error: InvalidConfig, preset_name: str, run: Run) -> str:
    """Return what is wrong with a preset's parameter, and its name."""
    return f"the parameter {error}: {run.parameter_of(preset_name)}"


def _own(committed: Committed | Lost, corrected: AmiState, run: Run) -> AmiState | None:
    """Return the record that our commit left, or ``None`` if it is another program's.

    A reply can be lost after the write was applied, and the repetition then fails its own condition. A record that is
    signed by this run is such a write, by this try or an earlier one.
    """
    if isinstance(committed, Committed):
        return corrected
    present = committed.present
    if present and present.reconciled_by == run.owner and present.status is not Status.BUILDING:
        return present
    return None


def _draft(state: AmiState | None, preset_name: str, run: Run) -> Result:
    """Return a result that describes the present record, to be completed with what is found."""
    return Result.of(state, preset_name, None, dry_run=run.dry_run)


def _not_one_pipeline(draft: Result, found: Sequence[str], run: Run) -> Result:
    """Return the result of a preset of whose pipelines none exists, or the several that were ``found``."""
    if found:
        return replace(
            draft,
            outcome=Outcome.PIPELINE_AMBIGUOUS,
            detail=f"pipelines {' and '.join(map(repr, found))} exist in {run.region}, and only one may be the "
            "preset's; record unchanged. Delete the pipeline that nobody needs. If another preset needs it, replace it "
            "by one with a name that pipeline_name gives for that preset only",
        )
    names = run.pipelines_of(draft.preset_name)
    possible = list(filter(is_pipeline_name, names))
    if not possible:
        remedy = f"{'It cannot' if len(names) == 1 else 'None of them can'} exist: correct pipeline_name"
    elif len(names) == 1:
        remedy = "Create it, correct pipeline_name or the region"
    else:
        remedy = f"Create {' or '.join(map(repr, possible))}, correct pipeline_name or the region"
    return replace(
        draft,
        outcome=Outcome.PIPELINE_NOT_FOUND,
        detail=f"no pipeline {' or '.join(map(repr, names))} in {run.region}; record unchanged. {remedy}. If the "
        f"preset is gone, delete the record {job_id(draft.preset_name)}",
    )


def _not_its_own(draft: Result, pipeline: Pipeline, other: str) -> Result:
    """Return the result of a preset whose only pipeline may be that of another preset as well."""
    return replace(
        draft,
        outcome=Outcome.PIPELINE_AMBIGUOUS,
        detail=f"pipeline {pipeline.name!r} may be that of preset {shorten(other)} as well; record unchanged. Replace "
        "it by one with a name that pipeline_name gives for its preset only. If a preset is gone, delete its record",
    )


def _stuck(draft: Result, reason: str, created: datetime) -> Result:
    """Return the result of a preset whose build has been running for too long."""
    return replace(
        draft,
        outcome=Outcome.STUCK,
        detail=f"{reason}, and it began at {render_timestamp(created)}; record unchanged. Look at image "
        f"{draft.image_arn}. If nothing moves, cancel the build and start another",
    )


def _disabled(pipeline: Pipeline) -> str:
    """Return what to say of a pipeline that is disabled; nothing if it is not."""
    if not pipeline.is_switched_off:
        return "" if pipeline.is_enabled else f"pipeline {pipeline.name!r} is disabled"
    return (
        f"Image Builder disabled pipeline {pipeline.name!r} after {pipeline.failures} failed builds in a row: enable "
        "it, or no build starts by itself"
    )


def _superseded(draft: Result, lost: Lost) -> Result:
    present = lost.present
    if present is None:
        return replace(
            draft,
            outcome=Outcome.SUPERSEDED,
            status=None,
            ami_id=None,
            updated_at=None,
            build_id=None,
            detail="the record is gone, or was replaced by a malformed one, since it was detected",
        )
    return replace(
        draft,
        outcome=Outcome.SUPERSEDED,
        status=present.status,
        ami_id=present.ami_id,
        updated_at=present.updated_at,
        build_id=present.build_id,
        detail="another program changed the record since it was detected; its state was kept",
    )


def _corrected(draft: Result, written: AmiState, present: AmiState, *, detail: str) -> Result:
    """Return the result of our commit ``written``, where the record is ``present`` by now."""
    failed = written.status is Status.FAILED
    return replace(
        draft,
        outcome=Outcome.CORRECTED_FAILED if failed else Outcome.CORRECTED_READY,
        status=present.status,
        ami_id=present.ami_id,
        updated_at=present.updated_at,
        build_id=present.build_id,
        detail=detail,
    )


def _replacement(before: ConfigVersion, record: AmiState) -> Replacement | None:
    """Return what puts of the record's AMI replaced; the first put was made from ``before``."""
    known, ami_id = ami_of(before), record.ami_id
    if ami_id is None or ami_id == known:
        return None
    build_id = record.build_id if record.status is Status.READY else None
    return Replacement(ami_id, None if before.secure else known, build_id)


def _replacement_of_earlier_try(record: AmiState, before: str | None) -> Replacement | None:
    """Return what an earlier try replaced: the AMI ``before``, if that is known."""
    return Replacement(record.ami_id, before, record.build_id) if record.ami_id and before else None


def _joined(one: Replacement | None, other: Replacement | None) -> Replacement | None:
    """Return two replacements, one after the other, as one."""
    return replace(other, previous_ami_id=one.previous_ami_id) if one and other else one or other


def _quoted(text: str | None) -> str:
    return "null" if text is None else f"'{shorten(text, 60)}'"


def _join(*texts: str) -> str:
    return "; ".join(text for text in texts if text)
