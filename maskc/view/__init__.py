"""Programs and masks as text and pictures."""
