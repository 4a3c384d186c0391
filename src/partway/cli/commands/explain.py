"""``partway explain``: what a plan decides on a link, and why; in the terminal, as a page, or as a picture."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from partway.errors import InputError, mapped
from partway.units import parse_bps, parse_s

if TYPE_CHECKING:
    from partway.partitioner.explain.explanation import Explanation, Machine
    from partway.partitioner.plan.plan import Plan
    from partway.system.arguments import Parser

HELP = "show the best split on a link, and where it changes"
MEASURE_S = 0.5


def add_arguments(parser: Parser) -> None:
    """Arguments of ``partway explain``."""
    from partway.partitioner.decide.options import decision_arguments

    parser.add_named("model", help="a shipped model's name, or the folder of a plan")
    add = parser.add_argument
    add("--profile", type=Path, metavar="FILE", help="the device's profile (default: measure this machine)")
    add("--cloud-profile", type=Path, metavar="FILE", help="the cloud's profile (default: measure this machine)")
    add("--bandwidth", default="2Mbps", metavar="BPS", help="of the link, for example 500kbps (default: 2Mbps)")
    add("--rtt", default="40ms", metavar="S", help="round trip of the link (default: 40ms)")
    add("--html", type=Path, metavar="FILE", help="write a page with charts that needs no network")
    add("--png", type=Path, metavar="FILE", help="write the charts as one picture")
    add("--json", action="store_true", help="print one JSON object")
    decision_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the candidates and the reason; write the page and the picture if requested."""
    from partway.cli.show.explanation import show_explanation
    from partway.partitioner.decide.estimate import Link
    from partway.partitioner.decide.objectives import objective_for
    from partway.partitioner.decide.options import constraints_of, objective_of
    from partway.partitioner.explain.explanation import explain
    from partway.partitioner.plan.plan_file import load_plan
    from partway.partitioner.zoo import model_folder

    link = Link(parse_bps(args.bandwidth), parse_s(args.rtt))
    constraints = constraints_of(args)
    objective_of(args, "")  # refuses an unknown objective before anything is measured
    folder = model_folder(args.model)
    plan = load_plan(folder)
    device, cloud, notes = _machines(args, plan, folder)
    objective, objective_notes = objective_of(args, device.name)
    objective = objective_for(plan, objective)
    explanation = explain(plan, device, cloud, link, objective, constraints, (*notes, *objective_notes))
    _write(explanation, args)
    show_explanation(explanation, args.json)
    return 0


def _machines(args: argparse.Namespace, plan: Plan, folder: Path) -> tuple[Machine, Machine, list[str]]:
    """Device and cloud from their profiles; a missing profile is replaced by a measurement of this machine."""
    device, cloud = (None if path is None else _read(path, plan) for path in (args.profile, args.cloud_profile))
    if device is not None and cloud is not None:
        return device, cloud, []
    here, notes = _measured(plan, folder)
    if device is None and cloud is None:
        notes.append(
            "the cloud is assumed to be as fast as this device; give a --cloud-profile, or the device's --profile"
        )
    return device or here, cloud or here, notes


def _read(path: Path, plan: Plan) -> Machine:
    from partway.partitioner.explain.explanation import machine_of

    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"profile {path} cannot be read ({error.strerror}); make one with `partway profile`"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a profile: it is not JSON; make one with `partway profile`") from error
    return machine_of(data, plan)


def _measured(plan: Plan, folder: Path) -> tuple[Machine, list[str]]:
    from partway.partitioner.explain.explanation import Machine
    from partway.partitioner.plan.chain import choose_engine, load_folder
    from partway.partitioner.profile.measure import busy_warning, machine_name, measure, sample_values

    chain = load_folder(folder, plan, choose_engine(plan))
    times = measure(chain, sample_values(chain), MEASURE_S)
    note = busy_warning(times)
    return Machine(machine_name(), times.stage_s), [note] if note else []


def _write(explanation: Explanation, args: argparse.Namespace) -> None:
    if args.html is None and args.png is None:
        return
    with mapped({ImportError: InputError}, "charts need matplotlib: pip install 'partway[explain]'"):
        from partway.partitioner.explain import charts, html
    with mapped({OSError: InputError}, "the explanation cannot be written"):
        if args.html is not None:
            args.html.write_text(html.page(explanation), encoding="utf-8")
        if args.png is not None:
            charts.save_png(explanation, args.png)
