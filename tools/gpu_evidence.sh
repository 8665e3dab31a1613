#!/usr/bin/env bash
# What pre-trained weights and stages of CEDNet-T are worth, with a GPU. From the repository's root:
#   tools/gpu_evidence.sh FOLDER TINY_IMAGENET DATA...
#   PYTHON=/opt/mmcednet/bin/python tools/gpu_evidence.sh ...     # with another environment
#   DEVICE=cpu tools/gpu_evidence.sh ...                          # a rehearsal: all steps, short; give it few small images
# TINY_IMAGENET is prepared as in docs/pretraining.md; DATA are data sets with boxes, as for tools/new_config.py.
# ConvNeXt-T and CEDNet-T of 1, 2 and 3 stages learn to classify ('labels'), and CEDNet-T learns from that ConvNeXt-T
# ('distilled'); RetinaNets start from these weights and from random ones ('none'), with two seeds, the most informative
# first. FOLDER gets the output of each step, the weights, a table for each of DATA, and summary.md.
# A step that fails does not stop the others. After LIMIT seconds, 570 by default, it stops, says so and returns 3.
# Called again with the same FOLDER, it does what is left: trainings of detectors that have ended are kept, the others
# start anew; pre-training and distillation resume from their last checkpoint.
set -uo pipefail
usage='usage: tools/gpu_evidence.sh FOLDER TINY_IMAGENET DATA...'
folder=${1:?$usage} images=${2:?$usage}
: "${3:?$usage}"
datasets=("${@:3}")
python=${PYTHON:-.venv/bin/python}
device=${DEVICE:-cuda}
limit=${LIMIT:-570}
mkdir -p "$folder/steps" "$folder/distilled"
folder=$(realpath "$folder")
export PYTHONPATH=$PWD

if [ "$device" = cpu ]; then
    epochs=1 patience=10 limit=${LIMIT:-36000}
    distillation=(--iterations 2 --batch-size 2)
    detection=(--iters 4 --seeds 1 --scale 64 64 --jobs 1)
else
    epochs=10 patience=1
    distillation=(--iterations 2500 --batch-size 256 --cfg-options train_dataloader.num_workers="$(env -u OMP_NUM_THREADS nproc)")
    # 23 epochs of 205 images; --jobs: the GPU waits for Python where one network trains at a time
    detection=(--iters 300 --seeds 2 --scale 256 256 --jobs 4)
fi

# summarize: write summary.md from what there is
summarize() {
    {
        printf '| step | result | seconds |\n| --- | --- | --- |\n'
        cat "$folder"/steps/*
        printf '\n'
        sed -n 's/: top-1/: top-1 on the validation images/p' "$folder"/pretrain_*.log | sort -u | sed 's/^/- /'
        for table in "$folder"/detectors/*-pretrained.md; do
            [ -f "$table" ] && printf '\n%s\n\n' "$(basename "$table" .md)" && cat "$table"
        done
    } > "$folder/summary.part" 2> /dev/null
    mv "$folder/summary.part" "$folder/summary.md"
}

# step NAME SECONDS COMMAND...: run a command for at most SECONDS, unless it has passed in an earlier call
number=10
step() {
    local name=$1 seconds=$(($2 * patience)) left=$((limit - SECONDS)) start=$SECONDS result=passed
    local record="$folder/steps/$((number++))_$name"
    shift 2
    grep -qs passed "$record" && return
    if ((left < 20)); then  # it takes as long to start
        echo "$name is left for another call" >&2
        exit 3
    fi
    ((seconds < left)) || seconds=$left
    timeout -k 10 "$seconds" "$@" >> "$folder/$name.log" 2>&1
    case $? in
        0) ;;
        124 | 137) result=stopped ;;
        *) result=failed ;;
    esac
    echo "| $name | $result | $((SECONDS - start)) |" | tee "$record"
    summarize
    if [ "$result" = stopped ] && ((SECONDS >= limit)); then
        echo "$name is continued by another call" >&2
        exit 3
    fi
}

# pretrain MODEL: learn to classify Tiny ImageNet
pretrain() {
    step "pretrain_$1" 300 "$python" benchmarks/pretraining.py --data "$images" --models "$1" --epochs $epochs \
        --lr 1e-3 --device "$device" -o "$folder/labels"
}

# detect START MODEL...: train detectors on each of DATA, from the weights in FOLDER/START
detect() {
    local start=$1 weights=() data
    shift
    [ "$start" = none ] || weights=(--weights "$folder/$start")
    for data in "${datasets[@]}"; do
        step "$(basename "$data")_${start}_$1" 240 "$python" benchmarks/early_fusion.py --data "$data" \
            --models "$@" "${weights[@]}" "${detection[@]}" --recipe 5e-4 0.05 --device "$device" \
            --reference convnext_tiny --results "$folder/detectors.json" --out "$folder/detectors"
    done
}

step setup 120 "$python" -c "
import sys
from pathlib import Path
import mmdet, mmpretrain, torch
from mmcv.ops import get_compiling_cuda_version
print(torch.__version__, '$device' == 'cuda' and torch.cuda.get_device_name())
if '$device' == 'cuda' and get_compiling_cuda_version() == 'not available':
    raise SystemExit('mmcv was compiled without CUDA')
images, *datasets = map(Path, sys.argv[1:])
if not (images / 'val.txt').is_file():
    raise SystemExit(f'{images} has no val.txt: tools/dataset_converters/tiny_imagenet.py writes it')
for data in datasets:
    if not data.is_dir():
        raise SystemExit(f'{data} does not exist')
" "$images" "${datasets[@]}"
grep -qs passed "$folder"/steps/*_setup || { tail -n 1 "$folder/setup.log" >&2; exit 1; }
pretrain cednet_tiny_m3
pretrain convnext_tiny
detect none cednet_tiny_m3 convnext_tiny
detect labels cednet_tiny_m3 convnext_tiny
step distill 300 "$python" tools/distill.py --teacher "$folder/labels/convnext_tiny/epoch_$epochs.pth" \
    --images "$images/train" --arch tiny --lr 1e-3 --work-dir "$folder/distilled/cednet_tiny_m3" --resume \
    -o "$folder/distilled/cednet_tiny_m3.safetensors" "${distillation[@]}"
detect distilled cednet_tiny_m3
pretrain cednet_tiny_m1
pretrain cednet_tiny_m2
detect none cednet_tiny_m1 cednet_tiny_m2
detect labels cednet_tiny_m1 cednet_tiny_m2
cat "$folder/summary.md"
! grep -L passed "$folder"/steps/* | grep -q .
