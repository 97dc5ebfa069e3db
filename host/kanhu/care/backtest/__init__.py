"""What rules would have said over a recorded past: the functions that run live, fed in order of time."""
