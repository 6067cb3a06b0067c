"""Functions that tests run at the same time."""

import threading


def together(*jobs):
    """Run all jobs at once, each on a Python thread; return their results, or raise what one of them raised."""
    results, errors = [None] * len(jobs), []
    ready = threading.Barrier(len(jobs))

    def guarded(i):
        try:
            ready.wait()
            results[i] = jobs[i]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
