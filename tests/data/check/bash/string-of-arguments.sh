#!/bin/sh
OPTS="-c 4096 -np 2 -ctk q8_0"
OPTS="$OPTS -ctv q8_0 -fa off"
llama-server -m model.gguf $OPTS
