#!/bin/bash
EXTRA="--override-tensor 'exps=CPU' --chat-template-kwargs '{\"a\":1}'"
llama-server -m "m.gguf" -c 4096 --fit off $EXTRA
