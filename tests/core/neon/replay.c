/* Calls kernels of the NEON table as told on stdin: tests/core/neon/neon_machine.py is at the other end, with qemu-aarch64 between.
 *
 * A request is a struct request, the sizes of its buffers, and their bytes; the answer is the buffers' bytes after the call.
 * The guards around arrays are part of the buffers, so whoever asked sees every byte that was written. Exit status: 0 at
 * the end of stdin, 1 with a word on stderr for whatever should not be. */
#include "core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WORDS = 18, MOST_DOUBLES = 2, MOST_BUFFERS = 16 };

struct request {
    char kernel[32];
    int64_t dtype;              /* 0 float32, 1 float64 */
    int64_t flush;              /* call with denormals flushed */
    int64_t words[MOST_WORDS];  /* integer arguments, and of pointers the bytes from the buffer's start */
    int64_t buffer[MOST_WORDS]; /* which buffer a word points into; -1: it is a number, or NULL */
    double doubles[MOST_DOUBLES];
    int64_t n_buffers;
};

/* AAPCS64 numbers integer and floating-point arguments apart, and widens each that goes on the stack to 8 bytes; so every
 * kernel can be called as this, whatever the order of its arguments, and finds those that it has. */
typedef void any_kernel(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                        int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, double, double);

static void stop(const char *why, const char *what)
{
    fprintf(stderr, "replay: %s %s\n", why, what);
    exit(1);
}

static void receive(void *memory, size_t bytes)
{
    if (fread(memory, 1, bytes, stdin) != bytes)
        stop("stdin ends in the middle of", "a request");
}

static any_kernel *find(const fp_isa *isa, const struct request *r)
{
    any_kernel *kernel;
    for (const fp_signature *s = fp_signatures; s->name; s++)
        if (!strcmp(s->name, r->kernel)) {
            memcpy(&kernel, (const char *)isa->kernels[r->dtype] + s->offset, sizeof kernel);
            return kernel;
        }
    stop("no kernel", r->kernel);
    return NULL;
}

static void serve(any_kernel *kernel, const struct request *r)
{
    char *buffers[MOST_BUFFERS];
    int64_t sizes[MOST_BUFFERS], w[MOST_WORDS];
    receive(sizes, (size_t)r->n_buffers * sizeof sizes[0]);
    for (int i = 0; i < r->n_buffers; i++) {
        buffers[i] = aligned_alloc(64, ((size_t)sizes[i] + 63) / 64 * 64);
        if (!buffers[i])
            stop("no memory for", r->kernel);
        receive(buffers[i], (size_t)sizes[i]);
    }
    for (int i = 0; i < MOST_WORDS; i++)
        w[i] = r->buffer[i] < 0 ? r->words[i] : (int64_t)(uintptr_t)(buffers[r->buffer[i]] + r->words[i]);
    uint64_t state = r->flush ? fp_denormals_flush() : 0;
    kernel(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], w[10], w[11], w[12], w[13], w[14], w[15], w[16],
           w[17], r->doubles[0], r->doubles[1]);
    if (r->flush)
        fp_denormals_restore(state);
    for (int i = 0; i < r->n_buffers; i++) {
        fwrite(buffers[i], 1, (size_t)sizes[i], stdout);
        free(buffers[i]);
    }
    fflush(stdout);
}

static void count(void *done, int chunk) { ((int64_t *)done)[chunk]++; }

/* Every chunk of every job exactly once, with more threads than this machine has cores. */
static void try_the_pool(void)
{
    enum { JOBS = 2000, CHUNKS = 5 };
    int64_t done[CHUNKS] = {0};
    for (int job = 0; job < JOBS; job++) {
        uint64_t state = fp_work_begin();
        fp_parallel(count, done, CHUNKS);
        fp_work_end(state);
    }
    for (int chunk = 0; chunk < CHUNKS; chunk++)
        if (done[chunk] != JOBS)
            stop("the pool did not do every chunk", "once");
}

int main(void)
{
    const fp_isa *isa = fp_select_isa(NULL);
    if (!isa || strcmp(isa->name, "neon"))
        stop("dispatch chose", isa ? isa->name : "no table");
    try_the_pool();
    struct request r;
    while (fread(&r, sizeof r, 1, stdin) == 1)
        serve(find(isa, &r), &r);
    return 0;
}
