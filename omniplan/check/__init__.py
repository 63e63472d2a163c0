"""The critic: rules asked of llama-server commands and of the files that hold them."""
