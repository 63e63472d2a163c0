#!/bin/bash
set -a
LLAMA_ARG_CTX_SIZE=8k
LLAMA_ARG_CACHE_TYPE_K=f8
set +a
llama-server -m m.gguf
