"""The explanation as one page that needs nothing else."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from partway.errors import InputError
from partway.partitioner.explain import html as explain_html
from partway.partitioner.explain.explanation import (
    Explanation,
    changes,
    reason,
)


@pytest.fixture(scope="module")
def page(made: Explanation) -> str:
    return explain_html.page(made)


def test_the_page_needs_nothing_else(page: str) -> None:
    """No address that a browser would fetch: every source is data, there are no links, scripts or imports."""
    sources = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]{0,40})""", page)
    assert len(sources) == 5
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    for word in ("http:", "https:", "<script", "@import", "url(", "<link"):
        assert word not in page


def test_the_page_holds_every_candidate_the_reason_and_the_changes(page: str, made: Explanation) -> None:
    """As text that can be searched and read aloud, with names escaped."""
    for row in made.rows:
        assert f"<td>{row.name}" in page
    assert page.count('class="out"') == sum(row.excluded is not None for row in made.rows) > 0
    assert page.count('class="chosen"') == 1
    assert reason(made) in page
    assert all(f"<li>{line}</li>" in page for line in changes(made))
    assert "<h1>a &lt;b&gt; &amp; c: where to split</h1>" in page
    assert "a &lt;fast&gt; cloud" in page
    assert "<b>" not in page
    assert "a note" in page


Run = Callable[..., int]


def test_without_matplotlib_the_command_says_what_to_install(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table still works; only charts need it."""
    monkeypatch.setitem(__import__("sys").modules, "partway.partitioner.explain.html", None)
    monkeypatch.delattr("partway.partitioner.explain.html", raising=False)
    assert run() == 0
    with pytest.raises(InputError, match=re.escape("pip install 'partway[explain]'")):
        run("--html", str(tmp_path / "out.html"))
