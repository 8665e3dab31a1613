#!/usr/bin/env bash
# Evaluates on several GPUs: tools/dist_test.sh CONFIG CHECKPOINT GPUS [ARGUMENTS OF test.py]
# On several machines, set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
set -eu
if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT GPUS [arguments of tools/test.py]" >&2
    exit 2
fi
config=$1 checkpoint=$2 gpus=$3
shift 3
tools=$(cd "$(dirname "$0")" && pwd)
if [ -z "${OMP_NUM_THREADS:-}${MKL_NUM_THREADS:-}" ]; then
    # of what torchrun starts, each process chooses its share of the cores: mmcednet_threads.py
    export OMP_NUM_THREADS=1 MMCEDNET_CHOSEN_THREADS=1
fi
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node-rank="${NODE_RANK:-0}" --nproc-per-node="$gpus" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" --master-port="${PORT:-29500}" \
    "$tools/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
