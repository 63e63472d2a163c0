"""Shell scripts, read as the shell does it, as far as that can be known without running them."""
