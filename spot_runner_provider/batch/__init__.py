"""Many presets at once: side by side, at the pace that AWS takes, and waiting for their builds."""
