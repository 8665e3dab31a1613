#!/usr/bin/env bash
# Everything that needs a GPU: the tests, the tiles of the operators, the figures. From the repository's root:
#   tools/gpu_check.sh FOLDER
#   PYTHON=/opt/mmcednet/bin/python tools/gpu_check.sh FOLDER     # with another environment
#   DEVICE=cpu tools/gpu_check.sh FOLDER                          # a rehearsal: all steps, small, without a GPU
# FOLDER gets the output of each step as it comes, and summary.md: a table of the steps and one of the figures.
# A step that fails does not stop the others. Called again with the same FOLDER, it does what has not passed.
# No step is begun that could end after LIMIT seconds, 570 by default: it is left for another call, and the
# script returns 3.
set -uo pipefail
folder=${1:?the folder to write}
python=${PYTHON:-.venv/bin/python}
device=${DEVICE:-cuda}
limit=${LIMIT:-570}
tiles=mmcednet/models/kernels/triton/tiles.json
mkdir -p "$folder/steps"
folder=$(realpath "$folder")
export PYTHONPATH=$PWD MMCEDNET_TRITON=1

if [ "$device" = cpu ]; then  # of each step the least; the operators in Triton's interpreter
    interpreter=(env TRITON_INTERPRET=1)
    operators=(-k '96 and bfloat16 and not 3-96')  # dilation 3: minutes, and in the tiles
    suite=(-k 'imagenet or compiled or nccl')
    tuning=(--size 4 4 --channels 96 --batch 1 --rounds 1 --candidates 1)
    one=(--size 64 64 --rounds 1)
    eight=("${one[@]}" --batch 2)
    training=("${eight[@]}" --mode train)
    table=(--size 128 128)
    patience=10 limit=${LIMIT:-36000}
else
    interpreter=() operators=() suite=() table=() patience=1
    tuning=(--write)
    one=(--cuda-graph --rounds 20)
    eight=("${one[@]}" --batch 8)
    training=(--cuda-graph --rounds 10 --batch 8 --size 1024 1024 --mode train)
fi

# summarize: write summary.md from what there is
summarize() {
    {
        printf '| step | result | seconds |\n| --- | --- | --- |\n'
        cat "$folder"/steps/*
        printf '\n| run | model | ms | speed, ConvNeXt: 1 | GPU alone: ms | speed | MiB |\n'
        printf '| --- | --- | --- | --- | --- | --- | --- |\n'
        "$python" - "$folder"/figures_*.json <<'END'
import json, sys
from pathlib import Path
for path in map(Path, sys.argv[1:]):
    for row in json.loads(path.read_text()) if path.exists() else []:
        names = ('median (ms)', 'speed', 'graph (ms)', 'graph speed', 'memory (MiB)')
        values = [row[name] if name in row else float('nan') for name in names]
        cells = [path.stem.partition('_')[2], row['model'], *(f'{value:.2f}' for value in values)]
        print('| ' + ' | '.join(cells) + ' |')
END
    } > "$folder/summary.part" && mv "$folder/summary.part" "$folder/summary.md"
}

# step NAME SECONDS COMMAND...: run a command for at most SECONDS, unless it has passed in an earlier call
number=10 left=0
step() {
    local name=$1 seconds=$(($2 * patience)) start=$SECONDS result=passed
    local record="$folder/steps/$((number++))_$name"  # the numbers sort the table
    shift 2
    grep -qs passed "$record" && return
    if ((SECONDS + seconds > limit)); then
        echo "$name may take $seconds s, and is left for another call" >&2
        left=1
        return
    fi
    timeout "$seconds" "$@" > "$folder/$name.log" 2>&1 || result="failed ($?)"
    echo "| $name | $result | $((SECONDS - start)) |" | tee "$record"
    summarize
}

# compare NAME OPTION...: time ConvNeXt-T with FPN, CEDNet-T with its pyramid, and the same in plain torch
compare() {
    local name=$1
    shift
    step "$name" 70 "$python" benchmarks/network.py timm:convnext_tiny tiny plain:tiny \
        --device "$device" --dtype bfloat16 --json "$folder/$name.json" "$@"
}

step setup 120 "${interpreter[@]}" "$python" -c "
import pytest, timm, torch, triton, mmdet, mmseg, mmpretrain, mmcv.ops
from mmcednet.models import kernels
device = torch.device('$device')
print(torch.__version__, triton.__version__, device.type == 'cuda' and torch.cuda.get_device_name())
if kernels.triton is None or not kernels.runs_triton(device):
    raise SystemExit('no operators in Triton: ' + kernels.describe(device))"
grep -qs passed "$folder"/steps/*_setup || { cat "$folder/setup.log" >&2; exit 1; }
# check_operators NAME: test the operators
check_operators() {
    step "$1" 130 "${interpreter[@]}" "$python" -m pytest -q -m gpu tests/gpu/test_gpu_operators.py \
        --device "$device" --durations 5 "${operators[@]}"
}

# compare_all NAME: the three figures
compare_all() {
    compare "$1_infer_1" "${one[@]}"
    compare "$1_infer_8" "${eight[@]}"
    compare "$1_train_8" "${training[@]}"
}

[ -f "$folder/tiles.json" ] && cp "$folder/tiles.json" $tiles  # of an earlier call, in another copy of the tree
check_operators suite_operators
compare_all figures
for name in networks gpu_frameworks trainings; do  # -v: of a step that takes too long, what has passed
    step "suite_$name" 130 "$python" -m pytest -v -m gpu "tests/gpu/test_$name.py" --device "$device" \
        --durations 10 "${suite[@]}"
done
step table_1 90 "$python" tools/analysis/paper_tables.py --table 1 --speed --dtype bfloat16 "${table[@]}"
step tiles 240 "${interpreter[@]}" "$python" benchmarks/operators.py --device "$device" "${tuning[@]}"
[ "$device" = cpu ] || cp $tiles "$folder"  # those of some operators, if the step took too long
if grep -qs passed "$folder"/steps/*_tiles; then  # with the best tiles
    check_operators suite_tuned
    compare_all figures_tuned
fi
cat "$folder/summary.md"
((left == 0)) || exit 3
! grep -L passed "$folder"/steps/* | grep -q .
