#!/usr/bin/env bash
# What archspec does on a machine with a GPU: tests, speed, memory, in at most eight minutes.
#
#     benchmarks/gpu.sh [JSON [LOGS]]
#
# JSON: a file for the figures (without: they are printed); LOGS: a folder for what each step said. Run it from
# anywhere; archspec need not be installed. What is missing of the packages it needs is installed with pip, and nothing
# else. A step that fails or takes too long does not stop the others; the exit status is 1 then.
set -u
cd "$(dirname "$0")/.." || exit 2
json=${1:-}
logs=${2:-$(mktemp -d)}
[ -n "$json" ] && case $json in /*) ;; *) json=$OLDPWD/$json ;; esac
case $logs in /*) ;; *) logs=$OLDPWD/$logs ;; esac
mkdir -p "$logs" || exit 2
python=${PYTHON:-python3}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 PYTHONIOENCODING=utf-8 COLUMNS=160
export TORCHINDUCTOR_COMPILE_THREADS=${TORCHINDUCTOR_COMPILE_THREADS:-4}
cores=$(getconf _NPROCESSORS_ONLN)
found=$logs/found.json
rm -f "$found"
status=0

# step NAME SECONDS COMMAND…: what it says goes to a file, how it ended and how long it took to the terminal
step() {
    local name=$1 limit=$2 began=$SECONDS ended
    shift 2
    timeout -k 5 "$limit" "$@" >"$logs/$name.log" 2>&1
    ended=$?
    [ $ended = 124 ] && echo "(stopped after $limit s)" >>"$logs/$name.log"
    [ $ended = 0 ] || status=1
    echo "== $name: exit status $ended, $((SECONDS - began)) s"
}

missing=$("$python" - <<'PYTHON'
import importlib.util
needed = {
    "click": "click", "jsonschema": "jsonschema", "matplotlib": "matplotlib", "pytorch_lightning": "pytorch-lightning",
    "yaml": "pyyaml", "rich": "rich", "safetensors": "safetensors", "sklearn": "scikit-learn",
    "tensorboard": "tensorboard", "torch": "torch", "torchmetrics": "torchmetrics", "torchvision": "torchvision",
    "pytest": "pytest", "hypothesis": "hypothesis", "xdist": "pytest-xdist",
}
print(*[package for module, package in needed.items() if importlib.util.find_spec(module) is None])
PYTHON
)
if [ -n "$missing" ]; then
    echo "missing: $missing"
    # shellcheck disable=SC2086
    step install 120 "$python" -m pip install -q $missing
    tail -n 2 "$logs/install.log"
fi

nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader || status=1
"$python" -c 'import platform, torch, torchvision, pytorch_lightning as l; print("Python", platform.python_version(), "torch",
torch.__version__, "torchvision", torchvision.__version__, "Lightning", l.__version__, "CUDA", torch.cuda.is_available())'

step tests 130 "$python" -m pytest tests/gpu -m gpu -n "$((cores < 12 ? cores : 12))" -p no:cacheprovider -W default \
    --disable-warnings --tb=short -rfE --durations=6
grep -E '^(FAILED|ERROR)' "$logs/tests.log" | cut -c1-330 | head -n 25
grep -E '^E  ' "$logs/tests.log" | cut -c1-240 | awk '!seen[$0]++' | head -n 25
grep -E '^[0-9.]+s (call|setup)' "$logs/tests.log" | cut -c1-130
tail -n 1 "$logs/tests.log"

step speed 270 "$python" benchmarks/gpu.py speed "$found"
step epochs_fast 60 "$python" benchmarks/gpu.py epochs "$found" --fast
step epochs 75 "$python" benchmarks/gpu.py epochs "$found"
for name in speed epochs_fast epochs; do
    grep -q "\"$name\":" "$found" 2>/dev/null || { echo "$name said:"; tail -n 12 "$logs/$name.log" | cut -c1-240; }
done
[ -f "$found" ] && "$python" benchmarks/gpu.py show "$found"
if [ -n "$json" ]; then
    cp "$found" "$json"
else
    "$python" -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[1])), separators=(",", ":")))' "$found"
fi
echo "$SECONDS s in all; logs: $logs"
exit $status
