"""What people are told: report, metrics, messages, promotions and console addresses; pure functions without I/O."""
