/* Allocates aligned memory, and counts the allocations. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

#define FP_ALIGNMENT 64 /* bytes: a cache line, and the widest vector */

/* It need not be atomic: tests read it while nothing trains. */
static volatile int64_t allocations;

int64_t fp_allocations(void) { return allocations; }

void *fp_allocate(size_t bytes)
{
    /* The alignment is our own, since MSVC has no aligned_alloc; the start of the block is stored just before the
     * memory. calloc gets large blocks as fresh pages, which are zero: to fill a gigabyte here, while the caller holds
     * the GIL, would stop Python for a second. */
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
