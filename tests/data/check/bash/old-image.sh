docker run --gpus all ghcr.io/ggml-org/llama.cpp:server-cuda-b4068 -m /m.gguf -c 4096 -ngl 99 -fa --no-mmap
