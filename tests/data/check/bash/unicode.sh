#!/bin/bash
# Größe: größer als früher — 日本語
MODELL="/modelle/Größe 7B/ü.gguf"
llama-server -m "$MODELL" -c 8k   # früher 4k
