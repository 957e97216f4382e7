"""Which presets need work, and what an audit compares. All of it is pure."""
