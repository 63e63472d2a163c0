#!/bin/bash
git clone https://github.com/ggml-org/llama.cpp && cd llama.cpp
cmake -B build -DGGML_CUDA=ON
cmake --build build --target llama-server -j
install -m 755 build/bin/llama-server /usr/local/bin/llama-server
test -x build/bin/llama-server && ln -sf build/bin/llama-server .
