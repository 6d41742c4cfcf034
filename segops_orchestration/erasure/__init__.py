"""Deleting a person's data: from the tenant's tables, from platforms, from files; with a certificate."""
