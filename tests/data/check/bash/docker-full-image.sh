docker run --rm -it -v ~/models:/models --device /dev/kfd --device /dev/dri \
  ghcr.io/ggml-org/llama.cpp:full-rocm --server -m /models/m.gguf -c 8192 --mlock
