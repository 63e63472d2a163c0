#!/bin/bash
case "$1" in
  small) MODEL=a.gguf CTX=4096 ;;
  large) MODEL=b.gguf CTX=32768 ;;
  *) echo "which?"; exit 1 ;;
esac
MODEL=${MODEL:-a.gguf}
llama-server -m "/models/$MODEL" -c "$CTX" -ctv q8_0 -fa off
