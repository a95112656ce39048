"""Comes in: the text of a job file. Goes out: the job, checked, or every problem it has with file, line and column."""

from __future__ import annotations

from tork.definition.cron import Cron, CronError, parse_cron
from tork.definition.problems import Problem
from tork.definition.read import read_job, read_job_file, read_scheduled_job
from tork.definition.rules import validate_job
from tork.definition.schema import job_schema

__all__ = [
    "Cron",
    "CronError",
    "Problem",
    "job_schema",
    "parse_cron",
    "read_job",
    "read_job_file",
    "read_scheduled_job",
    "validate_job",
]
