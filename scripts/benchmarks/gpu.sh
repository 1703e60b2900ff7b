#!/bin/sh
# Measures training on one GPU: d2l's loop, Trainer, ours with the stock forward pass, and ours, on the same pairs of
# DATASET, with as many words as d2l's published checkpoints have.
#
#     scripts/benchmarks/gpu.sh DATASET
#
# Writes scripts/benchmarks/results/<device>.json. DEVICE=cpu tries the script itself without a GPU, with few rows.
set -eu
dataset=${1:?usage: scripts/benchmarks/gpu.sh DATASET}
device=${DEVICE:-cuda} python=${PYTHON:-python3}
here=$(dirname "$0")
if [ "$device" = cuda ]; then
    name=$("$python" -c 'import torch; print(torch.cuda.get_device_name().lower().replace(" ", "-"))') || {
        echo "gpu.sh: no GPU that PyTorch can use; DEVICE=cpu tries the script without one" >&2
        exit 2
    }
    rows=50000 seconds=2 small=512 base=256
else
    name=$device rows=2000 seconds=1 small=64 base=8
fi
output=$here/results/$name.json
measure() {
    "$python" "$here/training.py" --dataset "$dataset" --device "$device" --rows "$rows" --seconds "$seconds" \
        --vocab_size 60005 --output "$output" --contenders d2l trainer stock ours "$@"
}
measure --size small --batch_size "$small"
measure --size base --batch_size "$base"
echo "Results in $output"
