"""A host as a Machine, probed here or described elsewhere; None for what cannot be seen."""
