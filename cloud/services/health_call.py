"""``cloud-serve --health``: queries the cloud of this container by gRPC, over a socket without port and TLS."""

from __future__ import annotations

from partway.system.health_socket import health_name, wants_health

TIMEOUT_S = 5.0


def health_address() -> str | None:
    """The gRPC address of the health socket in this container; None if the image does not ask for one."""
    return f"unix-abstract:{health_name('cloud')}" if wants_health() else None


def ask_health() -> tuple[bool, str]:
    """Whether the cloud of this container serves, and a sentence that says so."""
    import grpc

    from partway.cloud.services.health import SERVICE, SERVING

    address = health_address()
    if address is None:
        return False, "cloud-serve answers health checks only with PARTWAY_HEALTH=1, which the images set"
    with grpc.insecure_channel(address) as channel:
        try:
            status = channel.unary_unary(f"/{SERVICE}/Check")(b"", timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return False, f"no cloud-serve answers here ({error.code().name.lower()})"
    return status == SERVING, "serving" if status == SERVING else "not serving: it is starting or shutting down"
