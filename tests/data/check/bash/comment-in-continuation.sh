#!/bin/bash
llama-server \
  -m m.gguf \
  -c 8192 \
  # -ngl 20 \
  --port 9000
