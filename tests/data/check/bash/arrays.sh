#!/usr/bin/env bash
set -euo pipefail
BIN="${LLAMA_BIN:-$HOME/llama.cpp/build/bin}/llama-server"
ARGS=(
  -m /models/gemma-3-27b-it-Q4_K_M.gguf
  --ctx-size 32k          # tokens
  -ngl 99
)
ARGS+=(--flash-attn)
if [[ "${MLOCK:-0}" == 1 ]]; then
  ARGS+=(--mlock)
fi
exec "$BIN" "${ARGS[@]}" "$@"
