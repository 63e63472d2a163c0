#!/bin/bash
serve() {
  local model=$1 ctx=$2
  shift 2
  nohup llama-server -m "$MODELS/$model" -c "$ctx" -np 1 "$@" >"/tmp/$model.log" 2>&1 &
}
MODELS=/srv/models
serve a.gguf 8192 --port 8081
serve b.gguf 16k --port 8082 -fa
wait
