"""What the whole pipeline bears: capacity, bursts beyond it, and hours."""
