"""The checks, one small class each, by what they look at."""
