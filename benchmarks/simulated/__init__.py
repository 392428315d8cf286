"""The simulated provider's rooms: what it hears, what it says, and how it misbehaves on demand."""
