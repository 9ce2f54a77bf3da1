"""Looking into nets."""
