"""`make power`: how much the ladder sees, and how often it names the cause, measured on planted mistakes."""
