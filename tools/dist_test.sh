#!/usr/bin/env bash
# Evaluates on several GPUs: tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of mmswinv2 test]
# Several machines: NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 on each, NODE_RANK its number.
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: $0 CONFIG CHECKPOINT GPUS [options of mmswinv2 test]" >&2; exit 2; }
CONFIG=$1
CHECKPOINT=$2
GPUS=$3

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    -m mmswinv2 test "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
