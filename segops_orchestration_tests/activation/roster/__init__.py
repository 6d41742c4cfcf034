"""A platform of the tests' own: a sandbox and its connector, simple enough to see what the delivery does to them."""
