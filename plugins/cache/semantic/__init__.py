"""The semantic cache: whether two texts ask the same, what was asked before, how sure that is, and what was learned."""
