"""Experiments of notebook 13: guidance in one call, and few steps."""
