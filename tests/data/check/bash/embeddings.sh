#!/bin/sh
llama-server -m bge-m3-Q8_0.gguf --embeddings -c 8192 -np 1 -b 8192 -ub 512 -cram 1024
llama-server -m reranker.gguf --rerank -c 4096 -np 1 -b 4096 -ub 4096
