#!/bin/bash
llama-server -m m.gguf \
  -c 8192 \ 
  --port 9000
