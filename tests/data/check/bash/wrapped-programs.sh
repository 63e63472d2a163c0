#!/bin/bash
export CUDA_VISIBLE_DEVICES=0,1
sudo -u llm env GGML_CUDA_ENABLE_UNIFIED_MEMORY=1 nice -n 5 numactl --interleave=all taskset -c 0-15 \
  /opt/llama/llama-server -m m.gguf -c 8192 -ts 3,2,1
systemd-run --user --unit=llm -p Restart=always llama-server -m m.gguf -c 8192 -mg 3 -sm none
timeout --signal=INT 1h llama-server -m m.gguf -c 8192 --n-gpu-layer 20
