"""A traced program under the names that its callable has for the parts."""
