"""What models cost: counts, memory, time."""
