"""The processes of one Weir: the supervisor, its children, what it claims, and what children owe it."""
