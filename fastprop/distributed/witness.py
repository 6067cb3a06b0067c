"""A program that says which rank was killed, where mpiexec then kills the others before they can.

Its arguments are the ranks of one machine and their processes, as RANK:PROCESS. It ends when the first of them does, or
when a rank ends it because all goes well. It imports nothing of fastprop, so that it takes little time and memory.
"""

import os
import select
import sys

EPITAPH = "its process {} ended without a word: killed, out of memory, or by os._exit"


def main() -> None:
    """Wait for the first process to end, and say whose it was."""
    watched, poll = {}, select.poll()
    for rank, process in (argument.split(":") for argument in sys.argv[1:]):
        try:
            descriptor = os.pidfd_open(int(process))
        except ProcessLookupError:
            watched[-1] = (rank, process)
            break
        watched[descriptor] = (rank, process)
        poll.register(descriptor, select.POLLIN)
    os.close(sys.stdout.fileno())  # whoever started this program waits for it
    ended = [-1] if -1 in watched else [descriptor for descriptor, _ in poll.poll()]
    for rank, process in (watched[descriptor] for descriptor in ended):
        print(f"fastprop.distributed: rank {rank} failed: {EPITAPH.format(process)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
