"""Several models on one machine: options per model, the best joint choice, what co-fits, and ways out."""
