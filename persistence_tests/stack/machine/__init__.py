"""A Docker host of the stack's own: a container with an engine in it, in which a stack runs as it stands.

The container bears the run's labels and goes with them. Its engine's data lie on a volume of the run, its socket in the
workspace, which is mounted in it under the same path; nothing else of the outer host is in reach.
"""
