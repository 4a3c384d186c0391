"""The last lines of a run for people: the summary, what was dropped or audited, what to try next."""

from __future__ import annotations

from partway.edge.report.run_json import RunReport
from partway.edge.report.terminal import Report
from partway.partitioner.decide.candidates import candidate_name


def closing_lines(run_report: RunReport, report: Report, when_behind: str, command: str | None) -> None:
    """Print the last lines. ``command`` is the beginning of the suggested commands; None prints no suggestion."""
    report.summary(run_report.results.summary(run_report.wall_s))
    if run_report.dropped:
        report.say(f"{run_report.dropped} frames were dropped before they began (--when-behind {when_behind})")
    for candidate, tally in run_report.audits.items():
        report.say(f"audited: {candidate_name(candidate, run_report.plan)}, {tally}")
    if run_report.changes:
        times = "once" if len(run_report.changes) == 1 else f"{len(run_report.changes)} times"
        report.say(f"the split changed {times} while frames flowed")
    if run_report.interrupted:
        report.say("interrupted; the frames above are the ones that were answered")
    elif command is not None:
        for line in _next_steps(command):
            report.say(line)


def _next_steps(command: str) -> tuple[str, str]:
    return (
        f"try next:  {command} --split 1    {command} --bandwidth 1Mbps --rtt 40ms",
        f"           on a second machine: cloud-serve --host 0.0.0.0 --insecure   then here: {command} --cloud HOST",
    )
