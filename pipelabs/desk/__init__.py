"""What needs an admin's attention."""
