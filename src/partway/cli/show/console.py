"""The console of all tables: names of models, values and labels in them cannot control the terminal."""

from __future__ import annotations

from typing import Any

import rich.console
from rich.text import Text

from partway.units import printable


class Console(rich.console.Console):
    """rich's console. In text that it is given as a string, in cells and titles, control characters are escaped."""

    def render_str(self, text: str, **style: Any) -> Text:
        """See rich. Line ends stay: several lines are printed at once."""
        return super().render_str("\n".join(map(printable, text.split("\n"))), **style)
