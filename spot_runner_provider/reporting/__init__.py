"""What is told: the report, metrics, messages, promotions, addresses in the console. All of it is pure."""
