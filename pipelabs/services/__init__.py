"""The rules and the queries: functions that flush and never commit."""
