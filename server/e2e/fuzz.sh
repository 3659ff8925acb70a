#!/usr/bin/env bash
# Runs one fuzz test for a while: fuzz.sh GO PACKAGE NAME TIME
#
# Go's fuzzer sometimes ends a run that found nothing with "context deadline
# exceeded", when a worker is cut off at the end of its time (golang/go#75804).
# Only that outcome, with no failing input written, is run again.
set -euo pipefail
go=$1 pkg=$2 name=$3 time=$4
for attempt in 1 2 3; do
  if out=$("$go" test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 2s -timeout 5m "$pkg" 2>&1 </dev/null); then
    tail -n 1 <<<"$out"
    exit 0
  fi
  if grep -q 'Failing input written' <<<"$out" || ! grep -q 'context deadline exceeded' <<<"$out"; then
    break
  fi
  echo "fuzz $pkg $name: cut off at the end of attempt $attempt, once more" >&2
done
echo "$out" >&2
exit 1
