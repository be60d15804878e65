"""What was asked and answered: one row a photo, in objects that are never overwritten."""
