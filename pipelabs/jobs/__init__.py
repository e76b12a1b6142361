"""Background work: tasks that a worker runs, and what each serving process does for itself.

`tasks` are run by one worker of all instances, `worker` is that process, and `audit_file` runs in
each serving process, because each host has an audit file of its own.
"""
