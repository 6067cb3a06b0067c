"""A program that says which rank was killed, where mpiexec then kills the others before they can.

Its arguments are the ranks of one machine and their processes, as RANK:PROCESS. Each rank connects to it, and sends
something when all is well, which ends it. What ends first, a connection or a process, names the rank: the end of a
process on a busy machine may take longer than mpiexec takes to kill the others, but it closes its connections first.
This file imports nothing of fastprop, so that the program takes little time and memory.
"""

import os
import select
import socket
import sys
from contextlib import suppress

EPITAPH = "its process {} ended without a word: killed, out of memory, or by os._exit"
ADDRESS = "\0fastprop witness {}"  # of its process: in Linux's abstract namespace, which leaves no file


def main() -> None:
    """Wait for the first process to end, and say whose it was."""
    processes = dict(argument.split(":") for argument in sys.argv[1:])
    ranks: dict[int, str] = {}  # file descriptor -> rank
    connections = {}
    poll = select.epoll()
    server = socket.socket(socket.AF_UNIX)
    server.bind(ADDRESS.format(os.getpid()))
    server.listen(len(processes))
    poll.register(server, select.EPOLLIN)
    for rank, process in processes.items():
        with suppress(ProcessLookupError):  # it has ended already, and mpiexec kills all
            descriptor = os.pidfd_open(int(process))
            ranks[descriptor] = rank
            poll.register(descriptor, select.EPOLLIN)
    os.close(sys.stdout.fileno())  # whoever started this program waits for it
    while True:
        [(descriptor, _)] = poll.poll(maxevents=1)  # the first one
        if descriptor == server.fileno():
            connection = server.accept()[0]
            ranks[connection.fileno()] = connection.recv(16).decode()
            connections[connection.fileno()] = connection
            poll.register(connection, select.EPOLLIN)
        elif descriptor in connections and connections[descriptor].recv(1):
            return
        else:
            break
    rank = ranks[descriptor]
    print(f"fastprop.distributed: rank {rank} failed: {EPITAPH.format(processes[rank])}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
