"""The interface of an input source: its name on the command line, and how it opens its frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from partway.edge.sources.files import Item


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """What options say about reading inputs.

    ``stdin_shape``: of raw pictures on standard input. ``hop``: new samples and samples repeated from before, of each
    frame of audio; ``rate_hz``: the model's sample rate. ``patient``: wait for a camera that cannot be reached yet.
    """

    stdin_shape: tuple[int, ...] | None = None
    hop: tuple[int, int] | None = None
    rate_hz: int | None = None
    patient: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of input; an entry of the group ``partway.sources`` names such an object.

    An ``--input`` is of this kind if it starts with ``prefix``, is an address with one of ``schemes`` (``rtsp`` for
    ``rtsp://…``), or ends with one of ``suffixes`` (lower case). A prefix that does not end with a colon must equal the
    whole text.
    ``open`` takes the text and the plan, and returns the frames. It raises InputError at once if opening fails.
    ``endless``: the frames never stop. ``live``: the next frame may take long to arrive, and there is no second round.
    Endless sources are live. ``takes``: the fields of SourceSettings that ``open`` also takes, by name.
    """

    open: Callable[..., Iterator[Item]]
    prefix: str = ""
    suffixes: tuple[str, ...] = ()
    endless: bool = False
    live: bool = False
    schemes: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()

    def matches(self, text: str) -> bool:
        """Whether an ``--input`` is of this kind."""
        named = text == self.prefix or (self.prefix.endswith(":") and text.startswith(self.prefix))
        return (named and bool(self.prefix)) or self._is_address(text) or text.lower().endswith(self.suffixes)

    def _is_address(self, text: str) -> bool:
        scheme, slashes, _ = text.partition("://")
        return bool(slashes) and scheme.lower() in self.schemes

    @property
    def by_beginning(self) -> bool:
        """Whether the beginning of the text decides, not its end."""
        return bool(self.prefix or self.schemes)
