"""The one way in which memberships change: full and delta computation of a tenant's segments."""
