/*
 * What a record costs: a backlog is archived as fast as it goes, then records that come at a steady rate, with the processor time of everybody
 * concerned (of all processes of the machine with those names: let nothing else use them meanwhile).
 */
#include "archive.h"

#include "proc.h"

#include <unistd.h>

#define SEQS 800 /* of each conversation: 51,200 records */
#define RATE 2000
#define SECONDS 10

static void costs_print(const struct proc_sample *a, const struct proc_sample *b, double archive_s, int64_t n)
{
    static const enum proc_kind kinds[] = {PROC_KAFKA, PROC_MARIADB, PROC_FERRETDB, PROC_POSTGRES};

    printf("CPU s per 1,000 records: archive %.3f", archive_s * 1e3 / (double)n);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        printf(", %s %.3f", proc_names[kinds[i]], (b->kind[kinds[i]].cpu_s - a->kind[kinds[i]].cpu_s) * 1e3 / (double)n);
    }
    printf("\n");
}

static double cpu_of(pid_t pid)
{
    char path[64], line[1024] = "", *at;
    unsigned long user = 0, system = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (file && fgets(line, sizeof(line), file) && (at = strrchr(line, ')'))) {
        if (sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2) user = system = 0;
    }
    if (file) fclose(file);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static void backlog(struct worker *w, int64_t n)
{
    struct proc_sample before, after;
    int64_t start, took;

    proc_sample(&before, false);
    start = oim_mono_ms();
    worker_start(w);
    sql_await(n, 300, "SELECT SUM(archived_seq) FROM conversation_seq");
    took = oim_mono_ms() - start;
    proc_sample(&after, false);
    printf("backlog: %lld records of 20 to 620 bytes in %.1f s, %.0f a second\n", (long long)n, (double)took / 1e3, (double)n * 1e3 / (double)took);
    costs_print(&before, &after, cpu_of(w->pid), n);
}

static void steady(struct worker *w)
{
    struct proc_sample before, after;
    double archive = cpu_of(w->pid);
    int64_t start = oim_mono_ms(), sent = 0, n = RATE * SECONDS;

    proc_sample(&before, false);
    while (sent < n) {
        for (int64_t due = (oim_mono_ms() - start) * RATE / 1000; sent < due && sent < n; sent++) {
            feed_stream(0, (int)(sent % CONVERSATIONS), SEQS + 1 + sent / CONVERSATIONS);
        }
        usleep(500);
    }
    feed_flush();
    sql_await((int64_t)SEQS * CONVERSATIONS + n, 60, "SELECT COUNT(*) FROM msg_history");
    proc_sample(&after, false);
    printf("steady: %d a second, all there %lld ms after the last\n", RATE, (long long)(oim_mono_ms() - start - SECONDS * 1000));
    costs_print(&before, &after, cpu_of(w->pid) - archive, n);
}

int measure(void)
{
    struct worker w = {0};
    void *state = NULL;

    if (stage_open(&state)) return 1;
    for (int32_t p = 0; p < PARTITIONS; p++) feed_fence(p);
    for (int64_t seq = 1; seq <= SEQS; seq++) {
        for (int c = 0; c < CONVERSATIONS; c++) feed_stream(0, c, seq);
    }
    feed_flush();
    sleep(1);
    backlog(&w, (int64_t)SEQS * CONVERSATIONS);
    steady(&w);
    worker_stop(&w);
    worker_show(&w, "\"counters\"");
    return stage_close(&state);
}
