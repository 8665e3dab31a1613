#!/usr/bin/env bash
# Everything that needs a GPU, in one run: the operators, the suite, the figures. From the repository's
# root; each step's output is in FOLDER as it comes, FOLDER/summary.md has one table of steps, then their
# tables. A step that fails does not stop the others.
#   tools/gpu_check.sh FOLDER
#   PYTHON=/opt/mmcednet/bin/python tools/gpu_check.sh FOLDER     # another environment
#   DEVICE=cpu tools/gpu_check.sh FOLDER                          # a rehearsal, on small images
set -uo pipefail
folder=${1:?the folder to write}
python=${PYTHON:-.venv/bin/python}
device=${DEVICE:-cuda}
mkdir -p "$folder"
folder=$(realpath "$folder")
summary=$folder/summary.md
export PYTHONPATH=$PWD MMCEDNET_TRITON=1
if [ "$device" = cpu ]; then
    interpreted="TRITON_INTERPRET=1"  # whole networks would take hours
    small="--size 64 64 --rounds 1" large="--size 64 64 --rounds 1" graph="" batch=2
    operators="--size 4 4 --channels 96 --batch 1 --rounds 1 --candidates 1" suite="-k imagenet" kernels="-k norm_act" speed="--size 128 128"
else
    small="--rounds 20" large="--rounds 10 --size 1024 1024" graph="--cuda-graph" batch=8
    interpreted="" operators="" suite="" kernels="" speed=""
fi
printf '| step | result | seconds |\n| --- | --- | --- |\n' > "$summary"

# step NAME COMMAND...: runs it, keeps its output, and adds a line to the summary
step() {
    local name=$1 start=$SECONDS result
    shift
    if "$@" > "$folder/$name.log" 2>&1; then result=passed; else result="failed ($?)"; fi
    echo "| $name | $result | $((SECONDS - start)) |" | tee -a "$summary"
}
network() {
    "$python" benchmarks/network.py tiny plain:tiny timm:convnext_tiny --device "$device" "$@"
}

step machine "$python" -c 'import torch; from mmcednet.models import kernels as k
print(torch.__version__, torch.cuda.is_available() and torch.cuda.get_device_name(), k.describe(torch.device("'"$device"'")))'
# shellcheck disable=SC2086  # the options are words
{
    step suite_operators env $interpreted "$python" -m pytest -q -m gpu tests/gpu/test_gpu_operators.py --device "$device" $kernels
    step suite "$python" -m pytest -q -m gpu tests/gpu --ignore tests/gpu/test_gpu_operators.py --device "$device" $suite
    step infer_1 network --dtype bfloat16 $graph $small
    step infer_batch network --dtype bfloat16 --batch $batch $graph $small
    step train network --dtype bfloat16 --batch $batch --mode train $graph $large
    step operators env $interpreted "$python" benchmarks/operators.py --device "$device" $operators
    step table_1 "$python" tools/analysis/paper_tables.py --table 1 --speed --dtype bfloat16 $speed
}
for log in "$folder"/*.log; do
    printf '\n%s\n\n' "$(basename "$log" .log)"
    grep -E '^\||passed|failed|^error|torch ' "$log" | tail -60
done >> "$summary"
echo "$summary"
