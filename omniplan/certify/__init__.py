"""Asks llama.cpp itself what a plan takes: a llama-fit-params binary, or its library with simulated GPUs."""
