#!/bin/bash
SLOTS=4
PER_SLOT=$((8 * 1024))
CTX=$(( SLOTS * PER_SLOT ))
THREADS=$(( $(nproc) - 2 ))
llama-server -m m.gguf -np $SLOTS -c $CTX -t $THREADS --embeddings -ub $((CTX / 64))
