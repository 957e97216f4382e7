"""Many presets at once: side by side, at the rate that AWS accepts, and waiting for their builds."""
