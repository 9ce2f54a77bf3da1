"""Looking at stored features and at results: statistics, likeness, transfer, duplicates."""
