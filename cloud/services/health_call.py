"""``cloud-serve --health``: asks the cloud of this container, by gRPC over a socket that needs neither port nor TLS."""

from __future__ import annotations

from partway.system.health_socket import health_name, wants_health

ASK_S = 5.0


def health_address() -> str | None:
    """Where the cloud of this container answers for its health, as gRPC names it; None where the image wants none."""
    return f"unix-abstract:{health_name('cloud')}" if wants_health() else None


def ask() -> tuple[bool, str]:
    """Whether the cloud of this container serves, and a sentence on it."""
    import grpc

    from partway.cloud.services.health import SERVICE, SERVING

    address = health_address()
    if address is None:
        return False, "cloud-serve tells its health where PARTWAY_HEALTH=1 is set, as in the images"
    with grpc.insecure_channel(address) as channel:
        try:
            status = channel.unary_unary(f"/{SERVICE}/Check")(b"", timeout=ASK_S)
        except grpc.RpcError as error:
            return False, f"no cloud-serve answers here ({error.code().name.lower()})"
    return status == SERVING, "serving" if status == SERVING else "not serving: it starts or ends"
