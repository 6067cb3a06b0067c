/* Aligned memory, counted. */
#include "fastprop.h"

#include <stdlib.h>
#include <string.h>

#define FP_ALIGNMENT 64 /* a cache line, and the widest vector */

/* Relaxed counting is enough: tests read it while nothing trains. */
static volatile int64_t allocations;

int64_t fp_allocations(void) { return allocations; }

void *fp_allocate(size_t bytes)
{
    /* Our own alignment, for aligned_alloc is missing from MSVC; the block's start is kept just before it. calloc, for
     * the system's fresh pages are zero: to fill a gigabyte here, its caller holding the GIL, stops Python for a second. */
    if (bytes > SIZE_MAX - 2 * FP_ALIGNMENT)
        return NULL;
    char *start = calloc(bytes + 2 * FP_ALIGNMENT, 1);
    if (!start)
        return NULL;
    char *memory = start + FP_ALIGNMENT;
    memory += FP_ALIGNMENT - (uintptr_t)memory % FP_ALIGNMENT;
    memcpy(memory - sizeof start, &start, sizeof start);
    allocations++;
    return memory;
}

void fp_free(void *memory)
{
    if (!memory)
        return;
    void *start;
    memcpy(&start, (char *)memory - sizeof start, sizeof start);
    free(start);
}
