/*
 * A histogram of times from 1 us to 10 min with an error below 1 %: 64 steps for every doubling. Plain memory: zero it and it is empty, copy it,
 * add it up.
 */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

#define HIST_STEPS 64  /* of a doubling */
#define HIST_DOUBLES 30

struct hist {
    uint64_t n;          /* values */
    uint64_t max_ns;
    uint64_t counts[HIST_STEPS * HIST_DOUBLES];
};

void hist_add(struct hist *h, uint64_t ns);
void hist_merge(struct hist *h, const struct hist *from);
/* ns that `percent` of the values do not exceed, to within the error; 100 is the exact maximum. 0 when empty. */
uint64_t hist_value(const struct hist *h, double percent);
uint64_t hist_max(const struct hist *h);

#endif
