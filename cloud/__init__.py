"""The cloud half: serves the suffix of every split of its models over gRPC, with health and metrics over HTTP.

``main`` reads the command line and wires the parts. Below it lie ``server``, ``services`` and ``http_api``,
``batching``, ``answer``, ``models`` and ``access``; each imports only what lies below it. May import partitioner,
engines, proto and system; never edge.
"""
