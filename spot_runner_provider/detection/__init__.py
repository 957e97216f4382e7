"""Which presets need work, and what an audit compares; pure functions without I/O."""
