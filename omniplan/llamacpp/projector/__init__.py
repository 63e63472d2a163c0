"""What a multimodal projector takes beside its model, restated from llama.cpp's ``tools/mtmd``."""
