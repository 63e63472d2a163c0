#!/bin/bash
tmux new-session -d -s llm "llama-server -m a.gguf -c 4k --port 8080"
tmux send-keys -t llm:1 'llama-server -m b.gguf -c 8192 --port 8081 -fa' C-m
screen -dmS three llama-server -m c.gguf -c 8192 --port 8082
