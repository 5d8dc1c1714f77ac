/* What a record costs: a backlog is archived as fast as it goes, with the processor time of everybody concerned. */
#include "archive.h"

#include "proc.h"

#include <unistd.h>

#define SEQS 800 /* of each conversation: 51,200 records */

static double seconds_of(const struct proc_sample *a, const struct proc_sample *b, enum proc_kind kind)
{
    return b->kind[kind].cpu_s - a->kind[kind].cpu_s;
}

int measure(void)
{
    static const enum proc_kind kinds[] = {PROC_ARCHIVE, PROC_MARIADB, PROC_FERRETDB, PROC_POSTGRES, PROC_KAFKA};
    struct proc_sample before, after;
    struct worker w = {0};
    int64_t n = (int64_t)SEQS * CONVERSATIONS, start, took;
    void *state = NULL;

    if (stage_open(&state)) return 1;
    for (int32_t p = 0; p < PARTITIONS; p++) feed_fence(p);
    for (int64_t seq = 1; seq <= SEQS; seq++) {
        for (int c = 0; c < CONVERSATIONS; c++) feed_stream(0, c, seq);
    }
    feed_flush();
    sleep(1);
    proc_sample(&before, false);
    start = oim_mono_ms();
    worker_start(&w);
    sql_await(n, 300, "SELECT SUM(archived_seq) FROM conversation_seq");
    took = oim_mono_ms() - start;
    proc_sample(&after, true);
    printf("%lld records of 20 to 620 bytes in %.1f s: %.0f a second\n", (long long)n, (double)took / 1e3, (double)n * 1e3 / (double)took);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        printf("%-16s %8.3f CPU s per 1,000 records %8.1f MiB\n", proc_names[kinds[i]], seconds_of(&before, &after, kinds[i]) * 1e3 / (double)n,
               (double)after.kind[kinds[i]].rss / 1048576);
    }
    worker_stop(&w);
    worker_show(&w, "\"counters\"");
    return stage_close(&state);
}
