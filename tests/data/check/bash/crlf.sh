#!/bin/bash
llama-server -m m.gguf \
  -c 8k \
  -fa
