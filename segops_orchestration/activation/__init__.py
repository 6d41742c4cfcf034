"""Activation: a segment's members appear in a platform, and those who left disappear from it."""
