"""What llama.cpp b11434 does with a model, a machine and its arguments, and only that."""
