"""`make bench`: the cost of a create, compared with what the framework and the database can do."""
