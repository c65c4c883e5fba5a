#!/usr/bin/env bash
# What archspec does on a machine with a GPU: tests, speed, memory, in at most nine minutes.
#
#     benchmarks/gpu.sh [--only STEP[,STEP]] [--seconds N] [JSON [LOGS]]
#
# --only: some of the steps tests, speed, step, memory, epochs_fast, epochs; --seconds: how long each of them may take.
# JSON: a file for the figures (without: they are printed); LOGS: a folder for what each step said. Run it from
# anywhere; archspec need not be installed. What is missing of the packages it needs is installed with pip, and nothing
# else. A step that fails or takes too long does not stop the others; the exit status is 1 then.
set -u
cd "$(dirname "$0")/.." || exit 2
only=tests,speed,step,memory,epochs_fast,epochs
seconds=
while [[ ${1:-} = --* ]]; do
    case $1 in
        --only) only=$2 ;;
        --seconds) seconds=$2 ;;
        *) echo "there is no option $1: see the head of $0" >&2; exit 2 ;;
    esac
    shift 2
done
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
rm -f "$found" "$logs"/*.failed "$logs/tests.log"
status=0

# step NAME SECONDS COMMAND…: what it says goes to a file, how it ended and how long it took to the terminal
step() {
    local name=$1 limit=${seconds:-$2} began=$SECONDS ended
    shift 2
    case ,$only,install, in *,$name,*) ;; *) return 1 ;; esac
    # interrupted, pytest still says what failed
    timeout -s INT -k 15 "$limit" "$@" >"$logs/$name.log" 2>&1
    ended=$?
    [ $ended = 124 ] && echo "(stopped after $limit s)" >>"$logs/$name.log"
    if [ $ended != 0 ]; then
        status=1
        echo $ended >"$logs/$name.failed"
    fi
    echo "== $name: exit status $ended, $((SECONDS - began)) s"
    return $ended
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

step tests 110 "$python" -m pytest tests/gpu -m gpu -n "$((cores < 12 ? cores : 12))" -p no:cacheprovider \
    -p no:benchmark -W default --disable-warnings --tb=short -rfE --durations=5
if [ -f "$logs/tests.log" ]; then
    grep -E '^(FAILED|ERROR)' "$logs/tests.log" | cut -c1-250 | head -n 25
    grep -E '^E  ' "$logs/tests.log" | cut -c1-250 | awk '!seen[$0]++' | head -n 30
    grep -E '^[0-9.]+s (call|setup)' "$logs/tests.log" | cut -c1-130
    grep -E '(passed|failed|skipped).* in [0-9.]+s' "$logs/tests.log" | tail -n 1
fi
step speed 240 "$python" benchmarks/gpu.py speed "$found"
step step 60 "$python" benchmarks/step.py resnet && grep -v '^epoch' "$logs/step.log" | cut -c1-900
step memory 60 "$python" -m benchmarks.memory "$logs/memory.jsonl" digits resnet imagenet/mobilenet_v2 imagenet/resnet imagenet/vit \
    --batch 2 16 --device cuda && echo "what the plan says of memory, divided by what was allocated: inference, training" && grep '|' "$logs/memory.log"
step epochs_fast 45 "$python" benchmarks/gpu.py epochs "$found" --fast
step epochs 65 "$python" benchmarks/gpu.py epochs "$found"
for name in speed step memory epochs_fast epochs; do
    case ,$only, in
        *,$name,*) [ -s "$logs/$name.failed" ] && { echo "$name said:"; tail -n 14 "$logs/$name.log" | cut -c1-240; } ;;
    esac
done
[ -f "$found" ] && "$python" benchmarks/gpu.py show "$found"
if [ -n "$json" ] && [ -f "$found" ]; then
    cp "$found" "$json"
elif [ -f "$found" ]; then
    "$python" -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[1])), separators=(",", ":")))' "$found"
fi
echo "$SECONDS s in all; logs: $logs"
exit $status
