"""The error of a backup or a restore."""

from pipelabs.core.errors import PipeLabsError


class BackupError(PipeLabsError):
    """A backup can't be made, or a restore can't go on. The message says why and what to do."""
