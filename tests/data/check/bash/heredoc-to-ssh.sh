#!/bin/bash
ssh -p 2222 user@gpu-box <<'EOF'
cd ~/llama.cpp
CUDA_VISIBLE_DEVICES=0 ./build/bin/llama-server -m m.gguf -c 8k -np 1
EOF
