#!/bin/sh
# One pass over a spool folder: each recording is diagnosed, then moved out of the way, by what was found:
#   done/     no fault found, or undecided      fault/    a fault
#   refused/  not readable, or not usable
# What faultdx cannot do for another reason (no model, a full disk) ends the pass, and every file stays where it is.
set -eu
: "${SPOOL:=/var/spool/vibration}" "${MODEL:=/etc/faultdx/model}" "${STATE:=/var/lib/faultdx}"
cd "$SPOOL"
mkdir -p done fault refused
for file in ./*; do
    if [ -L "$file" ] || [ ! -f "$file" ]; then
        continue
    fi
    # a logger may be writing it still: leave it alone for a minute
    if [ -z "$(find "$file" -prune -mmin +1)" ]; then
        continue
    fi
    code=0
    faultdx diagnose "$file" --model "$MODEL" --history "$STATE/history.sqlite" --fail-on fault --json --quiet \
        >>"$STATE/results.ndjson" 2>>"$STATE/problems.log" </dev/null || code=$?
    case $code in
        0) to=done ;;
        3) to=fault ;;
        4) to=refused ;;
        *) exit "$code" ;;
    esac
    target=$to/$file
    if [ -e "$target" ]; then # another recording of this name: keep both
        target=$target.$(date -u +%Y%m%dT%H%M%SZ).$$
    fi
    mv "$file" "$target"
done
