#!/bin/bash
for ngl in 0 10 20; do
  llama-bench -m m.gguf -ngl "$ngl" -fa 1 -p 512 -n 128
done
while ! curl -sf localhost:8080/health; do sleep 1; done
until llama-server -m m.gguf -c 8k; do sleep 5; done
