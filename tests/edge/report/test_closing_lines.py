"""The last lines of a run: the summary first, then what was dropped, audited and changed, and what to try next."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.support.affine import affine_chain

from partway.edge.decision.audit import Tally
from partway.edge.decision.decision import Decision
from partway.edge.decision.split_controller import Change
from partway.edge.pipeline.result import FrameResult
from partway.edge.report.closing_lines import closing_lines
from partway.edge.report.run_json import RunReport
from partway.edge.report.statistics import Results
from partway.edge.report.terminal import Report
from partway.partitioner.decide.estimate import Candidate, Estimate

PLAN = affine_chain().plan
