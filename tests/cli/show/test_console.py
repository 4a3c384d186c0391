"""The console of tables: foreign names cannot control the terminal."""

import io

from rich.table import Table
from rich.text import Text

from partway.cli.show.console import Console


def test_names_in_cells_and_titles_are_escaped_and_styles_stay() -> None:
    """A cell, a title and a printed line; line ends between lines stay."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100, color_system="standard")
    table = Table("a name of some width", title="\x1b]0;owned\x07")
    table.add_row("a\u202eb\x9b2J")
    console.print(table)
    console.print("one\ntwo \x1b(B")
    console.print(Text("bold", "bold"))
    printed = file.getvalue()
    assert r"\x1b]0;owned\x07" in printed
    assert r"a\u202eb\x9b2J" in printed
    assert "one\ntwo \\x1b(B\n" in printed
    assert "\x1b[1mbold\x1b[0m" in printed
    assert not set("\x07\x9b\u202e") & set(printed)
