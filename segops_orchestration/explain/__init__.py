"""Why a user is in a segment or not, and when that changes if nothing more happens."""
