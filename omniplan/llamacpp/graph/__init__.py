"""llama.cpp's computation graphs, rebuilt node by node."""
