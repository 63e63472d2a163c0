#!/bin/sh
llama serve -hf ggml-org/gemma-3-4b-it-GGUF -c 4k
llama update
