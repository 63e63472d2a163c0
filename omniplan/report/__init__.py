"""What somebody would rather look at: a plan, a stack, a comparison, a frontier or a verification, drawn."""
