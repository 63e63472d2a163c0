#!/bin/bash
EXTRA="--override-tensor 'exps=CPU'"
eval "llama-server -m m.gguf -c 4096 --fit off $EXTRA"
