"""Every error Partway raises on purpose, with whose fault it is and what exit code it ends a command with.

Foreign exceptions (gRPC, Pillow, ONNX Runtime, the operating system) are translated into these once, at the border
where they appear; inside, only these are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class PartwayError(Exception):
    """Something went wrong that one sentence can describe. The message is shown to people as it stands."""

    exit_code = 1


class InputError(PartwayError):
    """The user's input or usage is at fault; the message is one sentence that says what to do. Exit code 2."""

    exit_code = 2


class MissingPackage(InputError):  # noqa: N818 - says what is wrong
    """An optional package is not installed, or not one that works here; the message says what to install."""


class WireError(PartwayError):
    """Bytes from the other side do not follow the protocol. The other side is at fault; the frame is refused."""


class CodecError(WireError):
    """A coded activation lies about itself: wrong length, shape, dtype or header. The frame is refused."""


class LinkLost(PartwayError):  # noqa: N818 - says what happened
    """The other half cannot be reached any more. Nobody's fault; frames in flight must be answered elsewhere."""


class Refused(PartwayError):  # noqa: N818 - says what happened
    """The cloud answered, and the answer is no. The message is the cloud's own sentence."""


@contextmanager
def mapped(table: Mapping[type[Exception], type[PartwayError]], doing: str = "") -> Iterator[None]:
    """Translate foreign exceptions raised inside the block: ``with mapped({OSError: InputError}, "reading x.png"):``.

    The new message is ``doing`` followed by the old one.
    """
    try:
        yield
    except PartwayError:
        raise
    except tuple(table) as error:
        ours = next(ours for foreign, ours in table.items() if isinstance(error, foreign))
        text = str(error) or type(error).__name__
        raise ours(f"{doing}: {text}" if doing else text) from error
