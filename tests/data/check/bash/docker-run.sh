#!/bin/bash
docker rm -f llama-server 2>/dev/null
docker run -d --name llama-server --restart unless-stopped \
  --gpus '"device=0,1"' -p 127.0.0.1:8080:8080 -v "$PWD/models:/models:ro" \
  -e LLAMA_ARG_N_PARALLEL=1 -e LLAMA_ARG_MLOCK=1 \
  ghcr.io/ggml-org/llama.cpp:server-cuda@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef \
  -m /models/m.gguf -c 8k --host 0.0.0.0
docker logs -f llama-server
