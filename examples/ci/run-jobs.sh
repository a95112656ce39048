#!/bin/sh
# Runs several jobs side by side, waits for all, and writes one JUnit file. The exit code is the worst of them.
#
#   run-jobs.sh FILE...
set -eu
mkdir -p reports
ids=$(torkctl submit --quiet --output name "$@")
# shellcheck disable=SC2086 # one argument for each id
exec torkctl wait --timeout "${JOB_TIMEOUT:-30m}" --junit reports/jobs.xml $ids
