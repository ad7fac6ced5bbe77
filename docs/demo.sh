#!/bin/sh
# The main job, end to end, on machines that exist only on paper: simulate, prepare, train, diagnose what the training
# never saw. `make demo` runs it; the reports are in demo/. `sh docs/demo.sh FOLDER SEED` draws other machines.
set -eu
out=${1:-demo}
seed=${2:-0}
if ! command -v faultdx >/dev/null; then
    echo "faultdx is not on the path: make install, then . .venv/bin/activate" >&2
    exit 2
fi
if [ "$out" = demo ]; then
    rm -rf demo
elif [ -e "$out" ]; then
    echo "$out: exists already; name a folder that does not" >&2
    exit 2
fi
mkdir -p "$out"

for rig in bearing gearbox; do
    case $rig in
        # eight classes that differ in one tooth need more machines to learn from, and less noise
        bearing) specimens=10 seconds=4 train="--epochs 8" ;;
        gearbox) specimens=24 seconds=1.2 train="--epochs 16 --snr 0:20" ;;
    esac
    echo "== $rig: simulate $specimens machines of each class to learn from, and 6 others to be tried on"
    faultdx simulate $rig --out "$out/$rig" --specimens $specimens --seconds $seconds --seed $seed
    faultdx simulate $rig --out "$out/$rig-unseen" --specimens 6 --first-specimen $specimens --seconds $seconds --seed $seed
    echo "== $rig: prepare, split by specimen"
    faultdx prepare "$out/$rig" --out "$out/$rig.h5" --split specimen
    echo "== $rig: train"
    faultdx train "$out/$rig.h5" --out "$out/$rig-model" $train
    echo "== $rig: diagnose the machines that the training never saw"
    faultdx diagnose "$out/$rig-unseen" --model "$out/$rig-model" --quiet --json >"$out/$rig-unseen.ndjson"
    # two of them as a person would see them, with their reports
    first=$(find "$out/$rig-unseen" -name '*.mat' | sort | head -n 1)
    last=$(find "$out/$rig-unseen" -name '*.mat' | sort | tail -n 1)
    faultdx diagnose "$first" "$last" --model "$out/$rig-model" --report "$out/$rig-reports"
done

python3 - "$out" <<'EOF'
import csv, json, sys
from pathlib import Path

out = Path(sys.argv[1])
for rig in ("bearing", "gearbox"):
    with open(out / f"{rig}-unseen" / "records.csv", newline="") as table:
        truth = {row["path"]: row["label"] for row in csv.DictReader(table)}
    found = [json.loads(line) for line in open(out / f"{rig}-unseen.ndjson")]
    right = sum(d["verdict"] == truth[Path(d["file"]).name] for d in found)
    machines = "machines that the training never saw"
    print(f"{rig}: {right} of {len(found)} records right ({100 * right / len(found):.1f} %), from {machines}")
    if right < 0.95 * len(found):
        sys.exit(f"{rig}: fewer than 95 % right: something is broken")
EOF
echo "reports:"
find "$out" -name '*.html' | sort
