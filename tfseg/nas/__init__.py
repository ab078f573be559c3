"""The search for dynamic cells: a controller that proposes them, and the short trainings that score them."""
