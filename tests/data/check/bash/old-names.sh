#!/bin/sh
# before June 2024
./server -m models/7B/ggml-model.gguf -c 2048 --n-gpu-layers 33 --port 8080
./main -m models/7B/ggml-model.gguf -p "Hello" -n 128
