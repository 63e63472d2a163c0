"""Loading a model: devices, layers, weights, caches, contexts, bytes (llama-model*.cpp, llama-context.cpp)."""
