"""What answering people costs."""
