"""What a step has in its environment on the build servers that torkctl knows."""

from __future__ import annotations

STEP = "11111111-2222-3333-4444-555555555555"
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "o/r",
    "GITHUB_RUN_ID": "7",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_JOB": "build",
    "GITHUB_ACTION": "__run",
    "GITHUB_ENV": f"/home/runner/work/_temp/_runner_file_commands/set_env_{STEP}",
}
GITLAB = {"GITLAB_CI": "true", "CI_SERVER_URL": "https://gitlab.com", "CI_PIPELINE_ID": "5", "CI_JOB_ID": "77"}
EVIL = "::add-mask::x\n  ::set-output name=a::b\nfine ##[error]boo\n"
"""What a job prints that would have a runner of GitHub obey it."""
