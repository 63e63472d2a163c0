"""The scheduler, the allocator and the back ends below a graph (ggml-backend.cpp, ggml-alloc.c, ggml-cuda)."""
