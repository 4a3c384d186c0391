"""edge-run as a library: opens a model, for blocking and for asynchronous programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from partway.edge.options import Options, options_of
from partway.edge.session.opened import OpenSession

if TYPE_CHECKING:
    from partway.edge.session.async_session import AsyncSession
    from partway.partitioner.decide.power import Power


class Session:
    """The options to open a model with. ``with`` gives an OpenSession, ``async with`` an AsyncSession.

    The arguments are edge-run's options of these names (docs/options.md). Quantities are numbers of the unit in the
    name, or text with a unit, as on the command line: ``deadline_s=0.02`` or ``"20ms"``, ``max_device_memory`` in bytes
    or ``"64MB"``. ``cloud`` may be a sequence of addresses, ``window`` None adapts, ``max_drop`` is points. ``mean`` to
    ``shape`` describe a model file; ``labels`` is a file or a sequence of names, ``shape`` may map names to sizes.

    Raises InputError here if an option is invalid, and on opening if something cannot be found or run.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        random_weights: bool = False,
        split: str | int = "auto",
        cloud: str | Sequence[str] = "auto",
        codec: str = "auto",
        bandwidth_bps: float | str | None = None,
        rtt_s: float | str | None = None,
        deadline_s: float | str | None = None,
        window: int | str | None = None,
        batch: int = 1,
        threads: int = 0,
        engine: str = "auto",
        cache: str | Path | None = None,
        timeout_s: float | str = 5.0,
        audit: float | str = 0.0,
        mean: Sequence[float] | float | str | None = None,
        std: Sequence[float] | float | str | None = None,
        scale: float | str | None = None,
        fit: str | None = None,
        channels: str | None = None,
        labels: Sequence[str] | str | Path = (),
        task: str | None = None,
        shape: Mapping[str, Sequence[int]] | Sequence[str] | str = (),
        objective: str = "latency",
        power: Power | str | None = None,
        max_device_memory: float | str | None = None,
        keep_on_device: Sequence[str] = (),
        max_drop: float | None = 1.0,
        token_file: str | Path | None = None,
        tls: bool = False,
        tls_ca: str | Path | None = None,
        tls_cert: str | Path | None = None,
        tls_key: str | Path | None = None,
        tls_name: str = "",
    ) -> None:
        arguments = dict(locals())  # each argument has the name of an option in the table
        self.options: Options = options_of(arguments)
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
