"""Looking into a tenant for people: its users, what one more event would do, and figures to plot."""
