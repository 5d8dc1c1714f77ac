/*
 * See proc.h. A kind is a name (the whole word in the command line that tells the program) and a pid file. With pid files only what
 * descends from those processes counts: several instances may run on a machine. nginx means the worker processes: they hold the connections.
 */
#include "proc.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PROCESSES_MAX 8192
#define DEPTH_MAX 16

const char *const proc_names[PROC_KINDS] = {"nginx", "openim-logic", "openim-archive", "kafka", "redis", "mariadb", "postgres", "ferretdb"};

/* What the command line contains, and the name of the pid file in $VAR/run. */
static const struct {
    const char *words[3];
    const char *file;
} kinds[PROC_KINDS] = {
    [PROC_NGINX] = {{"nginx: worker process"}, "nginx"},
    [PROC_LOGIC] = {{"openim-logic"}, "logic"},
    [PROC_ARCHIVE] = {{"openim-archive"}, "archive"},
    [PROC_KAFKA] = {{"kafka.Kafka"}, "kafka"},
    [PROC_REDIS] = {{"redis-server", "valkey-server"}, "redis"},
    [PROC_MARIADB] = {{"mariadbd", "mysqld"}, "mariadb"},
    [PROC_POSTGRES] = {{"postgres"}, "postgres"},
    [PROC_FERRETDB] = {{"ferretdb", "mongod"}, "ferretdb"},
};

struct process {
    int pid, parent;
    unsigned long long ticks, pages;
};

static size_t file_read(const char *path, char *out, size_t cap)
{
    FILE *file = fopen(path, "r");
    size_t n = 0;

    if (file) {
        n = fread(out, 1, cap - 1, file);
        fclose(file);
    }
    out[n] = '\0';
    return n;
}

/* Parent, processor time and memory of a process; false when it is gone. */
static bool process_read(int pid, struct process *p)
{
    char path[64], text[1024], *at;
    unsigned long long user, system;
    long long pages;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (file_read(path, text, sizeof(text)) == 0) return false;
    at = strrchr(text, ')'); /* a name may hold anything */
    if (at == NULL) return false;
    p->pid = pid;
    if (sscanf(at + 2, "%*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %*u %*u %lld", &p->parent, &user, &system,
               &pages) != 4) {
        return false;
    }
    p->ticks = user + system;
    p->pages = pages > 0 ? (unsigned long long)pages : 0;
    return true;
}

static int processes_read(struct process *list)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    int n = 0;

    if (dir == NULL) return 0;
    while (n < PROCESSES_MAX && (entry = readdir(dir))) {
        if (isdigit((unsigned char)*entry->d_name) && process_read(atoi(entry->d_name), &list[n])) n++;
    }
    closedir(dir);
    return n;
}

/* The pid that a part of our instance has, 0 without one. */
static int root_of(enum proc_kind kind)
{
    const char *var = getenv("VAR");
    char path[4096], text[64];

    if (var == NULL) return 0;
    snprintf(path, sizeof(path), "%s/run/%s.pid", var, kinds[kind].file);
    return file_read(path, text, sizeof(text)) ? atoi(text) : 0;
}

static bool below(const struct process *list, int n, int pid, int root)
{
    for (int depth = 0; depth < DEPTH_MAX && pid > 1; depth++) {
        int i = 0;

        if (pid == root) return true;
        while (i < n && list[i].pid != pid) i++;
        if (i == n) return false;
        pid = list[i].parent;
    }
    return false;
}

/* word begins a path element or the line, and ends one or is followed by a blank: not the name of a file that is being edited. */
static bool line_has(const char *line, const char *word)
{
    for (const char *at = line; (at = strstr(at, word)); at++) {
        char end = at[strlen(word)];

        if ((at == line || at[-1] == '/' || at[-1] == ' ') && (end == '\0' || end == ' ' || end == ':')) return true;
    }
    return false;
}

/* The kind of a process by its command line, PROC_KINDS for others. */
static int kind_of(int pid)
{
    char path[64], line[4096], program[4096];
    size_t n;

    snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    n = file_read(path, line, sizeof(line));
    memcpy(program, line, n + 1); /* the first word: an editor of redis-server.c is no server */
    for (size_t i = 0; i < n; i++) {
        if (line[i] == '\0') line[i] = ' ';
    }
    for (int k = 0; k < PROC_KINDS; k++) {
        const char *where = k == PROC_KAFKA || k == PROC_NGINX ? line : program;

        for (int i = 0; i < 3 && kinds[k].words[i]; i++) {
            if (line_has(where, kinds[k].words[i])) return k;
        }
    }
    return PROC_KINDS;
}

static void memory_add(int pid, uint64_t *pss, uint64_t *priv)
{
    char path[64], text[4096], *line, *rest = text;

    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
    file_read(path, text, sizeof(text));
    while ((line = strsep(&rest, "\n"))) {
        unsigned long long kb;
        char name[64];

        if (sscanf(line, "%63[^:]: %llu kB", name, &kb) != 2) continue;
        if (strcmp(name, "Pss") == 0) *pss += kb * 1024;
        if (strncmp(name, "Private_", 8) == 0 && strcmp(name, "Private_Hugetlb")) *priv += kb * 1024;
    }
}

void proc_sample(struct proc_sample *out, bool memory)
{
    static struct process list[PROCESSES_MAX];
    double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    int n = processes_read(list), roots[PROC_KINDS];
    struct rusage self;

    *out = (struct proc_sample){0};
    for (int k = 0; k < PROC_KINDS; k++) roots[k] = root_of((enum proc_kind)k);
    for (int i = 0; i < n; i++) {
        int k = list[i].pages ? kind_of(list[i].pid) : PROC_KINDS; /* without memory: of the kernel, or ending */

        if (k == PROC_KINDS || (roots[k] && !below(list, n, list[i].pid, roots[k]))) continue;
        out->kind[k].count++;
        out->kind[k].cpu_s += (double)list[i].ticks * tick;
        out->kind[k].rss += list[i].pages * page;
        if (memory) memory_add(list[i].pid, &out->kind[k].pss, &out->kind[k].priv);
    }
    getrusage(RUSAGE_SELF, &self);
    out->self_cpu_s = (double)(self.ru_utime.tv_sec + self.ru_stime.tv_sec) + (double)(self.ru_utime.tv_usec + self.ru_stime.tv_usec) / 1e6;
}
