#!/usr/bin/env bash
# Trains on several GPUs: tools/dist_train.sh CONFIG GPUS [ARGUMENTS OF train.py]
# On several machines, set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
# After a process or node has failed, MAX_RESTARTS (0) times all processes start again, from the last
# checkpoint; JOIN_TIMEOUT (600) is the time in s to wait for all nodes. See docs/clusters.md.
set -eu
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [arguments of tools/train.py]" >&2
    exit 2
fi
config=$1 gpus=$2
shift 2
tools=$(cd "$(dirname "$0")" && pwd)
nodes=${NNODES:-1} node=${NODE_RANK:-0} restarts=${MAX_RESTARTS:-0}
address=${MASTER_ADDR:-127.0.0.1} port=${PORT:-29500}
rendezvous=(--node-rank="$node" --master-addr="$address" --master-port="$port")
if [ "$restarts" -gt 0 ]; then
    # takes in a node that comes back; node 0 serves it
    is_host=$([ "$node" -eq 0 ] && echo true || echo false)
    rendezvous=(--rdzv-backend=c10d --rdzv-endpoint="$address:$port" --rdzv-id="$address:$port"
        --rdzv-conf="is_host=$is_host,join_timeout=${JOIN_TIMEOUT:-600}")
    [ "$nodes" -gt 1 ] || rendezvous+=(--local-addr="$address")
    # otherwise processes that start again find the addresses of those before them
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
fi
if [ -z "${OMP_NUM_THREADS:-}${MKL_NUM_THREADS:-}" ]; then
    # of what torchrun starts, each process chooses its share of the cores: mmcednet_threads.py
    export OMP_NUM_THREADS=1 MMCEDNET_CHOSEN_THREADS=1
fi
exec "${PYTHON:-python}" -m torch.distributed.run --nnodes="$nodes" --nproc-per-node="$gpus" \
    "${rendezvous[@]}" --max-restarts="$restarts" "$tools/train.py" "$config" --launcher pytorch "$@"
