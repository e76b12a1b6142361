"""`make bench`: what one create costs, beside what the framework and the database can do."""
