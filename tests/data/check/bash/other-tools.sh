#!/bin/bash
llama-cli -m m.gguf -c 4k -cnv -p "You are helpful" --no-display-prompt
./build/bin/llama-sweep-bench -m m.gguf -c 32768 -ngl 99 -fa 1 -ub 2048
koboldcpp --model m.gguf --contextsize 8192 --gpulayers 99 --usecublas --flashattention --port 5001
