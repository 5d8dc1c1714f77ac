/*
 * What the servers of one machine use, from /proc: processor time, memory. Knows them by pid files of the instance that ./build.sh up started
 * ($VAR/run, its environment), and otherwise by their names.
 */
#ifndef BENCH_PROC_H
#define BENCH_PROC_H

#include <stdbool.h>
#include <stdint.h>

#define PROC_KINDS 8

enum proc_kind { PROC_NGINX, PROC_LOGIC, PROC_ARCHIVE, PROC_KAFKA, PROC_REDIS, PROC_MARIADB, PROC_POSTGRES, PROC_FERRETDB };

extern const char *const proc_names[PROC_KINDS];

struct proc_sample {
    struct {
        int count;              /* processes; 0: not found */
        double cpu_s;           /* since their start, both modes */
        uint64_t rss, pss, priv; /* bytes. pss counts what is shared once among its users, priv is what ends with the process */
    } kind[PROC_KINDS];
    double self_cpu_s;
};

/* memory false: cpu_s and count only, cheap enough for the middle of a run. pss and priv stay 0 where the kernel does not show them to us. */
void proc_sample(struct proc_sample *out, bool memory);

#endif
