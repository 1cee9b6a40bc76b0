"""What a peer may take of the gRPC server: bytes, calls, connections, and time in which nothing happens."""

from __future__ import annotations

from types import ModuleType

resource: ModuleType | None
try:
    import resource
except ImportError:  # Windows, where a process has as many sockets as the memory holds
    resource = None

MIB = 2**20
SPARE_FILES = 128  # for models, the log, and all else that the process opens
MOST_CONNECTIONS = 4096

# Misspelt options are ignored in silence: tests/tcp has a test for each that fails without it.
OPTIONS = (
    ("grpc.so_reuseport", 0),  # two servers on one port would share it without a word
    ("grpc.max_receive_message_length", 32 * MIB),
    ("grpc.max_concurrent_streams", 32),  # per connection: a flood of resets starves nobody else
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),  # clients may keep alive between two steps
    # A client that froze is noticed, and its job stopped. The timeout goes by this name: keepalive_timeout_ms is
    # for bytes on their way, and leaves a ping its minute.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.server_handshake_timeout_ms", 10_000),  # for the first bytes of a connection to be HTTP/2
    ("grpc.max_connection_idle_ms", 60_000),  # without a call; clients connect anew by themselves
)


def options() -> tuple[tuple[str, int], ...]:
    """For grpc.aio.server. As many connections are let in as the process may have open files, less some."""
    return (*OPTIONS, ("grpc.max_allowed_incoming_connections", most_connections()))


def most_connections() -> int:
    """Raises the process's own limit of open files as far as it may."""
    if resource is None:
        return MOST_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    files = wanted if soft == resource.RLIM_INFINITY else soft
    return max(1, min(MOST_CONNECTIONS, files - SPARE_FILES))
