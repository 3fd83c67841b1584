"""Whether Kafka brokers on 127.0.0.1 answer a metadata request and know enough live brokers.

    ready.py COUNT PORT...        exit status 0 when every port's broker lists at least COUNT brokers

Speaks the protocol itself (Metadata, version 1, over a plain connection), so that asking costs no Java process.
"""

import socket
import struct
import sys

METADATA_V1 = struct.pack(">hhih5si", 3, 1, 7, 5, b"ready", 0)  # for no topic: only the brokers


def read_exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            sys.exit("the broker closed the connection")
        data += chunk
    return data


def live_brokers(port: int) -> int:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(struct.pack(">i", len(METADATA_V1)) + METADATA_V1)
        (size,) = struct.unpack(">i", read_exactly(connection, 4))
        _correlation, brokers = struct.unpack_from(">ii", read_exactly(connection, size))
        return brokers


count = int(sys.argv[1])
for port in map(int, sys.argv[2:]):
    try:
        found = live_brokers(port)
    except OSError as error:
        sys.exit(f"127.0.0.1:{port}: {error}")
    if found < count:
        sys.exit(f"127.0.0.1:{port} knows {found} of {count} brokers")
