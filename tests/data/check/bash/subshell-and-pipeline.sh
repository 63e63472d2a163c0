#!/bin/bash
(cd /opt/llama && CTX=8k && ./llama-server -m m.gguf -c $CTX) 2>&1 | tee -a log &
{ sleep 1; curl localhost:8080; } &
x=$(llama-server --version 2>&1 | head -1)
llama-server -m m.gguf -c ${CTX:-4096}
