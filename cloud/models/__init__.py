"""The models that a cloud serves: where they run, how they are loaded and measured, what may share a batch.

Imports partitioner, engines and proto; nothing else of the cloud.
"""
