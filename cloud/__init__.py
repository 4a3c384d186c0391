"""The cloud half: gRPC services, model repository, lifecycle."""
