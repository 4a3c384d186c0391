"""edge-run as a library: a model opened once, then asked, by a program that blocks or by one that awaits.

It is edge-run's own opening, measuring and running (``Run``); only where frames come from and where answers go differs.
A cloud is driven by the thread that uses it, so the awaiting form keeps everything in one thread of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from partway.edge.decision.decision import Decision
from partway.edge.decision.split_controller import Change
from partway.edge.main import parser
from partway.edge.options import Options, options_of
from partway.edge.pipeline.result import FrameResult
from partway.edge.pipeline.runner import Runner
from partway.edge.report.run_json import Outcome
from partway.edge.report.terminal import Report
from partway.edge.session.run import Run
from partway.edge.sources.files import Sample
from partway.edge.sources.frame_queue import Arrivals
from partway.edge.sources.samples import sample_of
from partway.edge.sources.work import Work
from partway.partitioner.plan.plan import Plan

if TYPE_CHECKING:
    from partway.edge.session.async_session import AsyncSession
    from partway.edge.sources.samples import Input


class Session:
    """How to open a model; ``with`` gives an OpenSession, ``async with`` an AsyncSession.

    ``model``, ``split``, ``cloud``, ``codec``, ``objective``, ``power``, ``max_device_memory``, ``keep_on_device``,
    ``max_drop`` (points), ``window``, ``audit``, ``threads``, ``cache``, ``random_weights``, ``token_file`` and
    ``tls``… are edge-run's options of these names and take what they take. ``deadline_s`` travels with every frame;
    ``timeout_s`` is how long to wait for a cloud. InputError is raised here for what is wrong in itself, and on opening
    for what cannot be found or run.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        cloud: str = "auto",
        split: str = "auto",
        codec: str = "auto",
        objective: str = "latency",
        power: str | None = None,
        max_device_memory: str | None = None,
        keep_on_device: Sequence[str] = (),
        max_drop: float | None = None,
        deadline_s: float | None = None,
        window: int | None = None,
        audit: float | str = 0.0,
        threads: int = 0,
        cache: str | Path | None = None,
        random_weights: bool = False,
        timeout_s: float = 5.0,
        token_file: str | Path | None = None,
        tls: bool = False,
        tls_ca: str | Path | None = None,
        tls_cert: str | Path | None = None,
        tls_key: str | Path | None = None,
        tls_name: str = "",
    ) -> None:
        args = parser().parse_args(["--model", str(model)])
        for name, value in {
            "cloud": cloud,
            "split": split,
            "codec": codec,
            "objective": objective,
            "power": power,
            "max_device_memory": max_device_memory,
            "keep_on_device": list(keep_on_device),
            "max_drop": args.max_drop if max_drop is None else max_drop,
            "window": "auto" if window is None else str(window),
            "audit": str(audit),
            "threads": threads,
            "cache": None if cache is None else Path(cache),
            "random_weights": random_weights,
            "token_file": None if token_file is None else Path(token_file),
            "tls": tls,
            "tls_ca": None if tls_ca is None else Path(tls_ca),
            "tls_cert": None if tls_cert is None else Path(tls_cert),
            "tls_key": None if tls_key is None else Path(tls_key),
            "tls_name": tls_name,
        }.items():
            setattr(args, name, value)
        self.options: Options = replace(options_of(args), deadline_s=deadline_s, timeout_s=timeout_s)
        self._open: OpenSession | None = None
        self._async: AsyncSession | None = None

    def __enter__(self) -> OpenSession:
        self._open = OpenSession(self.options)
        return self._open

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    async def __aenter__(self) -> AsyncSession:
        from partway.edge.session.async_session import open_async

        self._async = await open_async(self.options)
        return self._async

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._async is not None:
            await self._async.close()
            self._async = None


class _Held(Run):
    """A run that has decided and waits for frames."""

    _runner: Runner

    def _frames(self, outcome: Outcome, runner: Runner, work: Work) -> None:
        self._runner = runner

    def answers(self, samples: Iterator[Sample] | Arrivals, first_id: int) -> Iterator[FrameResult]:
        """As edge-run gives them: the candidate chosen anew before each frame."""
        return self._runner.run(samples, self._recut, first_id)


class OpenSession:
    """A model ready to infer, for one thread: the one that opened it. ``close`` or the end of ``with`` ends it."""

    def __init__(self, options: Options) -> None:
        self._thread = threading.get_ident()
        self._run = _Held(options, Report(quiet=True))
        outcomes: list[Outcome] = []
        try:
            self._run.go(outcomes)
        except BaseException:
            self._run.__exit__()
            raise
        outcome = outcomes[0]
        assert outcome.decision is not None
        self.plan: Plan = outcome.plan
        """What is run: stages, cuts, tensors, and how pictures become tensors."""
        self.decision: Decision = outcome.decision
        """The candidates, the one chosen on opening and why."""
        self.changes: Sequence[Change] = outcome.changes
        """What was chosen instead since then, from which frame on and why; grows while frames flow."""
        self._next_id = 0
        self._running: Iterator[FrameResult] | None = None
        self._closed = False

    def infer(self, given: Input) -> FrameResult:
        """The answer to one picture (Pillow, uint8 array, path) or to the model's input tensors.

        An answer says who gave it: ``answered_by`` is ``cloud``, ``device`` or, without ``outputs``, ``nobody``. Raises
        InputError on what does not fit the model.
        """
        (result,) = self.run([given])
        return result

    def run(self, inputs: Iterable[Input]) -> Iterator[FrameResult]:
        """The answers to all of them, in order, several in flight at once; inputs are taken as answers are.

        An input that cannot be read raises its InputError after the answers to those before it. A new ``run`` ends one
        that was left half-way.
        """
        self._check()
        self._end()
        self._running = self._answers(inputs)
        return self._running

    def _answers(self, inputs: Iterable[Input]) -> Iterator[FrameResult]:
        source = _Source(inputs, self.plan, self._next_id)
        results = self._run.answers(source, self._next_id)
        try:
            yield from results
        finally:
            source.ended = True
            for _ in results:  # left half-way: what is in flight is waited for and dropped
                pass
            self._next_id = source.next_id
        if source.error is not None:
            raise source.error

    def answers(self, arrivals: Arrivals) -> Iterator[FrameResult]:
        """The answers to frames that come when they come, in order; has to be run to its end."""
        self._check()
        self._end()
        for result in self._run.answers(arrivals, self._next_id):
            self._next_id = result.id + 1
            yield result

    def _end(self) -> None:
        if self._running is not None:
            self._running.close()  # type: ignore[attr-defined]
            self._running = None

    def close(self) -> None:
        """End the stream, the connection and, where one was started for this session, the embedded cloud."""
        if not self._closed:
            self._check()
            self._end()
            self._closed = True
            self._run.__exit__()

    def _check(self) -> None:
        if self._closed:
            raise RuntimeError("this session is closed")
        if threading.get_ident() != self._thread:
            raise RuntimeError("a session is for the thread that opened it; `async with` gives one for an event loop")


class _Source:
    """Inputs as samples; the first that cannot be read, or is not given, ends them and is kept."""

    def __init__(self, inputs: Iterable[Input], plan: Plan, next_id: int) -> None:
        self._inputs, self._plan = iter(inputs), plan
        self.next_id = next_id
        self.ended = False
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[Sample]:
        return self

    def __next__(self) -> Sample:
        if self.ended:
            raise StopIteration
        try:
            sample = sample_of(next(self._inputs), self._plan, f"frame {self.next_id}")
        except StopIteration:
            self.ended = True
            raise
        except Exception as error:  # whatever the caller's own iterator raises, too; it is raised again to the caller
            self.ended, self.error = True, error
            raise StopIteration from error
        self.next_id += 1
        return sample
