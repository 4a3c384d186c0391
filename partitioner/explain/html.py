"""The explanation as one self-contained HTML page, with charts and styles inside."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from partway.partitioner.explain.charts import charts, svg_uri
from partway.partitioner.explain.explanation import Explanation, Machine, Row, changes, reason, rivals
from partway.units import show_bytes, show_s

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 64rem; margin: 2rem auto;
  padding: 0 1.25rem }
h1 { font-size: 1.6rem; margin: 0 0 .25rem } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem }
.reason { font-size: 1.1rem; border-left: .3rem solid #0072b2; padding: .4rem 0 .4rem .9rem; background: #f3f8fc }
img { width: 100%; height: auto } figure { margin: 0 } .wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .88rem; width: 100% } td, th { padding: .25rem .6rem; text-align: left }
th { border-bottom: 2px solid #888; white-space: nowrap } td { border-bottom: 1px solid #e2e2e2 }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.chosen td { background: #dff1e9; font-weight: 600 } .out td { color: #6b6b6b } .facts th { border: 0; width: 8rem }
footer { color: #555; font-size: .85rem; margin: 2.5rem 0 1rem }
"""
HEADS = ("candidate", "sends", "prefix", "encode", "link", "cloud", "total", "score", "agreement")


def page(explanation: Explanation) -> str:
    """The whole HTML page."""
    plan = escape(explanation.plan.model)
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{plan}: where to split</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            f"<h1>{plan}: where to split</h1>",
            f'<p class="reason">{escape(reason(explanation))}.</p>',
            _facts(explanation),
            *_charts(explanation),
            _table(explanation),
            _footer(),
            "</body>\n</html>\n",
        ]
    )


def _facts(explanation: Explanation) -> str:
    sizes = ", ".join(f"{name} {show_bytes(size)}" for name, size in rivals(explanation))
    facts = [
        ("device", _machine(explanation.device)),
        ("cloud", _machine(explanation.cloud)),
        ("link", str(explanation.link)),
        ("objective", explanation.objective.name),
        *([("cuts must beat", sizes)] if sizes else []),
        *(("note", note) for note in explanation.notes),
    ]
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in facts)
    return f'<table class="facts">{rows}</table>'


def _machine(machine: Machine) -> str:
    note = f", predicted, ±{machine.predicted.error:.0%}" if machine.predicted else ""
    return f"{machine.name}: whole model {machine.mark}{show_s(sum(machine.stage_s))}{note}"


def _charts(explanation: Explanation) -> Iterable[str]:
    for index, chart in enumerate(charts(explanation)):
        yield f"<h2>{escape(chart.heading)}</h2>"
        yield f'<figure><img alt="{escape(chart.text)}" src="{svg_uri(chart.figure)}"></figure>'
        if index == 0:
            yield f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in changes(explanation))}</ul>"


def _table(explanation: Explanation) -> str:
    heads = "".join(f'<th class="{"" if index == 0 else "number"}">{head}</th>' for index, head in enumerate(HEADS))
    rows = "".join(_row(explanation, row) for row in explanation.rows)
    return f'<h2>All candidates</h2>\n<div class="wide"><table><tr>{heads}</tr>{rows}</table></div>'


def _row(explanation: Explanation, row: Row) -> str:
    parts = row.estimate
    agreement = "-" if row.candidate.agreement is None else f"{row.candidate.agreement:.2%}"
    prefix, cloud, total = explanation.marks(row.candidate)
    numbers = [
        show_bytes(row.candidate.size_bytes),
        prefix + show_s(parts.prefix_s),
        show_s(parts.encode_s),
        show_s(parts.link_s),
        cloud + show_s(parts.cloud_s),
        total + show_s(parts.total_s),
        explanation.score(row),
        agreement,
    ]
    kind = "out" if row.excluded else "chosen" if row is explanation.chosen else ""
    name = f"{row.name}: excluded by {row.excluded}" if row.excluded else row.name
    cells = "".join(f'<td class="number">{escape(number)}</td>' for number in numbers)
    return f'<tr class="{kind}"><td>{escape(name)}</td>{cells}</tr>\n'


def _footer() -> str:
    return (
        "<footer>Estimated: total = prefix + encode + (bytes there and back × 8 / bandwidth + round trip) + decode +"
        " suffix. The chosen candidate has the best score. The bandwidths listed under the map are exact; the map"
        " itself is drawn on a grid.</footer>"
    )
