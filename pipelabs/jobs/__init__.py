"""Background jobs: `every_minute` runs in each worker."""
