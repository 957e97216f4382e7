"""What the stores hold: records, intents, parameters and images, as plain values. All of it is pure."""
