/*
 * See hist.h. Values count in microseconds. Below 64 each has its own step; above, a doubling has 64 steps, so that a step is never wider
 * than 1/64 of its value and the middle of it is not off by more than 0.8 %.
 */
#include "hist.h"

#include <math.h>

static unsigned step_of(uint64_t us)
{
    unsigned shift;

    if (us < HIST_STEPS) return (unsigned)us;
    shift = 63u - (unsigned)__builtin_clzll(us) - 6;
    if (shift + 1 >= HIST_DOUBLES) return HIST_STEPS * HIST_DOUBLES - 1;
    return (shift + 1) * HIST_STEPS + (unsigned)((us >> shift) & (HIST_STEPS - 1));
}

/* The middle of the step, in ns. */
static uint64_t value_of(unsigned step)
{
    unsigned shift = step / HIST_STEPS;
    uint64_t low = step % HIST_STEPS;

    if (shift == 0) return low * 1000 + 500;
    low = (low | HIST_STEPS) << (shift - 1);
    return low * 1000 + (1000ull << (shift - 1)) / 2;
}

void hist_add(struct hist *h, uint64_t ns)
{
    h->n++;
    if (ns > h->max_ns) h->max_ns = ns;
    h->counts[step_of(ns / 1000)]++;
}

void hist_merge(struct hist *h, const struct hist *from)
{
    h->n += from->n;
    if (from->max_ns > h->max_ns) h->max_ns = from->max_ns;
    for (unsigned i = 0; i < HIST_STEPS * HIST_DOUBLES; i++) h->counts[i] += from->counts[i];
}

uint64_t hist_value(const struct hist *h, double percent)
{
    uint64_t rank = (uint64_t)ceil(percent / 100 * (double)h->n), seen = 0;

    if (h->n == 0) return 0;
    if (rank >= h->n) return h->max_ns;
    if (rank < 1) rank = 1;
    for (unsigned i = 0; i < HIST_STEPS * HIST_DOUBLES; i++) {
        seen += h->counts[i];
        if (seen >= rank) return value_of(i) < h->max_ns ? value_of(i) : h->max_ns;
    }
    return h->max_ns;
}

uint64_t hist_max(const struct hist *h)
{
    return h->max_ns;
}
