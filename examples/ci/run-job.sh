#!/bin/sh
# Runs a job as one step of a pipeline: its log, a JUnit file in reports/, and its exit code.
#
#   run-job.sh FILE [OPTION OF torkctl submit]...
#
# JOB_TIMEOUT (30m) bounds the wait. A pipeline that is cancelled cancels the job.
set -u
file=$1
shift
mkdir -p reports
report=reports/$(basename "${file%.*}").xml

submit() {
  torkctl submit --follow --timeout "${JOB_TIMEOUT:-30m}" --cancel-on-interrupt --junit "$report" "$@" "$file" &
  child=$!
  # The build server's signal comes to this shell: torkctl has to have it too, and its time to cancel the job.
  trap 'stopped=yes; kill -TERM "$child"' INT TERM
  wait "$child"
  code=$?
  while kill -0 "$child" 2>/dev/null; do
    wait "$child"
    code=$?
  done
}

stopped=no
tries=${JOB_TRIES:-3}
submit "$@"
# 5: the server was away for longer than torkctl waits, and how the job ends is unknown. The same submission in the same
# step is the same job, so this goes on with it. Where torkctl has no key for the step (docs/ci.md), it would be another one.
while [ "$code" -eq 5 ] && [ "$stopped" = no ] && [ "${GITHUB_ACTIONS:-}${GITLAB_CI:-}" = true ] && [ "$tries" -gt 1 ]; do
  tries=$((tries - 1))
  echo "the server does not answer; asking again" >&2
  sleep "${JOB_PAUSE:-30}"
  submit "$@"
done
exit "$code"
