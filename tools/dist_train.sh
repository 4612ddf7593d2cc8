#!/usr/bin/env bash
# Trains on several GPUs: tools/dist_train.sh CONFIG GPUS [options of mmswinv2 train]
# Several machines: NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 on each, NODE_RANK its number.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: $0 CONFIG GPUS [options of mmswinv2 train]" >&2; exit 2; }
CONFIG=$1
GPUS=$2

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    -m mmswinv2 train "$CONFIG" --launcher pytorch "${@:3}"
