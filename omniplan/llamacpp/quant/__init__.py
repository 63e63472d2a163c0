"""What llama-quantize makes of a header (llama-quant.cpp)."""
