"""Plan where a GGUF model's layers go on a machine, in llama.cpp's own bytes, without loading it."""
