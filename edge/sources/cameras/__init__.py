"""Cameras: devices of this machine, and those that are reached by an address (``rtsp://…``, ``http://…``)."""
