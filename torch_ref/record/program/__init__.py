"""What touches the user's program while it is recorded: its model, its random numbers and its optimizer."""
