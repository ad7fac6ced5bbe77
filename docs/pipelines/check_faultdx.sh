#!/bin/sh
# Nagios, Icinga, Checkmk: check_faultdx.sh MODEL FILE...
#   0 OK        every record was diagnosed, and there is no fault
#   1 WARNING   no fault, but a record on which the model does not decide
#   2 CRITICAL  a fault
#   3 UNKNOWN   a record could not be read or used, or faultdx could not run
if [ $# -lt 2 ]; then
    echo "FAULTDX UNKNOWN - usage: check_faultdx.sh MODEL FILE..."
    exit 3
fi
model=$1
shift
work=$(mktemp -d) || { echo "FAULTDX UNKNOWN - no temporary folder"; exit 3; }
trap 'rm -rf "$work"' EXIT
trap 'exit 3' HUP INT TERM

faultdx diagnose --model "$model" --json --quiet --fail-on fault -- "$@" >"$work/found" 2>"$work/said" </dev/null
code=$?

count() { grep -c -- "$1" "$work/found"; }
# the first record that has $1: its name and its verdict, without what Nagios takes for itself
first() {
    grep -m 1 -e "$1" "$work/found" |
        sed 's/^{"schema": "[^"]*", "file": "\([^"]*\)".*"verdict": "\{0,1\}\([^",]*\).*$/\1: \2/; s/: null$//' |
        tr '|' '/' | cut -c 1-200
}
records=$(count '"schema": "faultdx')
faults=$(count '"fault": true')
undecided=$(count '"status": "\(undecided\|unfamiliar\)"')
unread=$(count '"status": "\(unusable\|error\)"')

case $code in
    0)
        if [ "$undecided" -gt 0 ]; then
            exit=1 text="WARNING - no verdict on $(first '"status": "\(undecided\|unfamiliar\)"')"
        else
            exit=0 text="OK - no fault in $records records"
        fi
        ;;
    3) exit=2 text="CRITICAL - $faults of $records records have a fault, first $(first '"fault": true')" ;;
    4) exit=3 text="UNKNOWN - $unread of $records records unfit, first $(first '"status": "\(unusable\|error\)"')" ;;
    *) exit=3 text="UNKNOWN - exit code $code, $(tail -n 1 "$work/said" | tr '|' '/' | cut -c 1-300)" ;;
esac
echo "FAULTDX $text | records=$records faults=$faults undecided=$undecided unfit=$unread"
exit $exit
