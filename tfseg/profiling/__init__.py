"""What models cost in operations, memory and time."""
