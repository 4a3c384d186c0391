"""What a run needs before its first frame: the model, its stages, a cloud, and failover if a cloud is lost.

May import what the session room may import, and none of its other modules.
"""
