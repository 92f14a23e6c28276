"""Archives of the media root: written whole or not at all, read with suspicion, restored by rename."""
