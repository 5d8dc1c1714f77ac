/* The figures of a run as text, as JSON, or as a row of a Markdown table. README.md says what each means. Called by load.c. */
#include "load.h"

#include <unistd.h>

#define MIB (1024.0 * 1024)

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

/* CPU seconds of a kind in the measured time. */
static double cpu_of(const struct figures *f, int kind)
{
    return f->after.kind[kind].cpu_s - f->before.kind[kind].cpu_s;
}

static double cpu_all(const struct figures *f)
{
    double sum = 0;

    for (int i = 0; i < PROC_KINDS; i++) sum += cpu_of(f, i);
    return sum;
}

static uint64_t measured_acks(const struct figures *f)
{
    return f->ack.n ? f->ack.n : 1;
}

static double idle_bytes(const struct options *o, const struct figures *f, bool private_only)
{
    uint64_t a = private_only ? f->idle_before.kind[0].priv : f->idle_before.kind[0].pss;
    uint64_t b = private_only ? f->idle_after.kind[0].priv : f->idle_after.kind[0].pss;

    return ((double)b - (double)a) / o->conns;
}

/* ---- text ---- */

static void text_latency(const char *what, const struct hist *h)
{
    printf("%-10s p50 %.2f  p90 %.2f  p99 %.2f  p99.9 %.2f  max %.2f ms\n", what, ms(hist_value(h, 50)), ms(hist_value(h, 90)),
           ms(hist_value(h, 99)), ms(hist_value(h, 99.9)), ms(hist_max(h)));
}

static void text_servers(const struct options *o, const struct figures *f)
{
    double thousands = (double)measured_acks(f) / 1000;

    printf("\n%-15s %5s %9s %15s %9s %9s\n", "processes", "count", "CPU s", o->idle ? "" : "CPU s/1000 msg", "RSS MiB", "PSS MiB");
    for (int i = 0; i < PROC_KINDS; i++) {
        if (f->after.kind[i].count == 0) continue;
        printf("%-15s %5d %9.2f ", proc_names[i], f->after.kind[i].count, cpu_of(f, i));
        if (o->idle) printf("%15s ", "");
        else printf("%15.3f ", cpu_of(f, i) / thousands);
        printf("%9.1f %9.1f\n", (double)f->after.kind[i].rss / MIB, (double)f->after.kind[i].pss / MIB);
    }
    printf("%-15s %5s %9.2f\n", "this program", "1", f->after.self_cpu_s - f->before.self_cpu_s);
}

static void text_busy(const struct options *o, const struct figures *f)
{
    printf("%u connections, %s, content of %u bytes, %.1f s measured\n", o->conns, o->closed ? "closed loop" : "open loop", o->size, f->seconds);
    printf("messages   sent %llu  acknowledged %llu (%.1f/s)  errors %llu  unanswered %llu  not connected %llu\n", (unsigned long long)f->sent,
           (unsigned long long)f->acked, (double)f->ack.n / f->seconds, (unsigned long long)f->errors, (unsigned long long)f->unanswered,
           (unsigned long long)f->unsent);
    printf("pushes     delivered %llu  lost %llu  twice %llu  out of order %llu\n", (unsigned long long)f->delivered, (unsigned long long)f->lost,
           (unsigned long long)f->duplicated, (unsigned long long)f->disordered);
    text_latency("ack", &f->ack);
    text_latency("delivery", &f->delivery);
    if (!o->closed) text_latency("late sent", &f->lag);
    printf("history    %llu conversations, %llu messages: holes %llu  missing %llu  twice %llu  not readable %llu\n",
           (unsigned long long)f->history.conversations, (unsigned long long)f->history.messages, (unsigned long long)f->history.holes,
           (unsigned long long)f->history.missing, (unsigned long long)f->history.repeated, (unsigned long long)f->history.failed);
    if (f->archive.known) {
        printf("archive    %lld rows in MySQL, complete %.1f s after the last push\n", (long long)f->archive.rows, f->archive.seconds);
    } else {
        puts("archive    not asked: no mariadb client, or OPENIM_MYSQL_* is not set");
    }
}

static void text(const struct options *o, const struct figures *f)
{
    if (o->idle) {
        printf("%u idle connections, open after %.1f s, held %.1f s\n", o->conns, f->connect_seconds, f->seconds);
        printf("memory     %.0f bytes a connection in the nginx workers (PSS), %.0f of them private\n", idle_bytes(o, f, false),
               idle_bytes(o, f, true));
    } else {
        text_busy(o, f);
    }
    printf("links      cut %llu  refused %llu  pings answered %llu", (unsigned long long)f->cuts, (unsigned long long)f->refused,
           (unsigned long long)f->pings);
    printf("%s%s\n", f->error[0] ? "  first error: " : "", f->error);
    text_servers(o, f);
}

/* ---- JSON ---- */

static void json_latency(const char *name, const struct hist *h)
{
    printf(",\"%s\":{\"n\":%llu,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}", name, (unsigned long long)h->n,
           ms(hist_value(h, 50)), ms(hist_value(h, 90)), ms(hist_value(h, 99)), ms(hist_value(h, 99.9)), ms(hist_max(h)));
}

static void json(const struct options *o, const struct figures *f)
{
    printf("{\"conns\":%u,\"rate\":%u,\"size\":%u,\"loop\":\"%s\",\"seconds\":%.3f", o->conns, o->closed || o->idle ? 0 : o->rate, o->size,
           o->idle ? "idle" : o->closed ? "closed" : "open", f->seconds);
    printf(",\"sent\":%llu,\"acked\":%llu,\"acked_per_second\":%.1f,\"errors\":%llu,\"unanswered\":%llu,\"unsent\":%llu", (unsigned long long)f->sent,
           (unsigned long long)f->acked, (double)f->ack.n / f->seconds, (unsigned long long)f->errors, (unsigned long long)f->unanswered,
           (unsigned long long)f->unsent);
    printf(",\"delivered\":%llu,\"lost\":%llu,\"duplicated\":%llu,\"out_of_order\":%llu", (unsigned long long)f->delivered,
           (unsigned long long)f->lost, (unsigned long long)f->duplicated, (unsigned long long)f->disordered);
    json_latency("ack_ms", &f->ack);
    json_latency("delivery_ms", &f->delivery);
    json_latency("late_ms", &f->lag);
    printf(",\"history\":{\"conversations\":%llu,\"messages\":%llu,\"holes\":%llu,\"missing\":%llu,\"duplicated\":%llu,\"failed\":%llu}",
           (unsigned long long)f->history.conversations, (unsigned long long)f->history.messages, (unsigned long long)f->history.holes,
           (unsigned long long)f->history.missing, (unsigned long long)f->history.repeated, (unsigned long long)f->history.failed);
    printf(",\"archive\":{\"rows\":%lld,\"seconds\":%.2f}", f->archive.known ? (long long)f->archive.rows : -1, f->archive.seconds);
    printf(",\"cut\":%llu,\"refused\":%llu,\"pings\":%llu,\"setup_s\":%.2f,\"connect_s\":%.2f", (unsigned long long)f->cuts,
           (unsigned long long)f->refused, (unsigned long long)f->pings, f->setup_seconds, f->connect_seconds);
    if (o->idle) printf(",\"idle_bytes\":{\"pss\":%.0f,\"private\":%.0f}", idle_bytes(o, f, false), idle_bytes(o, f, true));
    printf(",\"self_cpu_s\":%.2f,\"servers\":{", f->after.self_cpu_s - f->before.self_cpu_s);
    for (int i = 0; i < PROC_KINDS; i++) {
        printf("%s\"%s\":{\"count\":%d,\"cpu_s\":%.2f,\"rss\":%llu,\"pss\":%llu}", i ? "," : "", proc_names[i], f->after.kind[i].count, cpu_of(f, i),
               (unsigned long long)f->after.kind[i].rss, (unsigned long long)f->after.kind[i].pss);
    }
    puts("}}");
}

/* ---- a row ---- */

void report_heads(void)
{
    puts("| scenario | connections | acknowledged/s | ack p50 / p99 / max ms | delivery p50 / p99 / max ms | errors | lost, twice, out of order | "
         "history: holes, missing, twice | CPU s per 1000 messages: all, nginx, logic, archive | CPU of the machine | generator late p99 ms | memory MiB: nginx, logic, archive |");
    puts("|---|---|---|---|---|---|---|---|---|---|---|---|");
}

static void row(const struct options *o, const struct figures *f)
{
    double thousands = (double)measured_acks(f) / 1000, cores = (double)sysconf(_SC_NPROCESSORS_ONLN);
    double busy = (cpu_all(f) + f->after.self_cpu_s - f->before.self_cpu_s) / f->seconds / cores * 100;

    printf("| %s | %u | ", o->name, o->conns);
    if (o->idle) {
        printf("idle: %.0f bytes a connection (%.0f private) | | | %llu cut, %llu refused | | | | ", idle_bytes(o, f, false), idle_bytes(o, f, true),
               (unsigned long long)f->cuts, (unsigned long long)f->refused);
    } else {
        printf("%.0f | %.1f / %.1f / %.1f | %.1f / %.1f / %.1f | %llu | ", (double)f->ack.n / f->seconds, ms(hist_value(&f->ack, 50)),
               ms(hist_value(&f->ack, 99)), ms(hist_max(&f->ack)), ms(hist_value(&f->delivery, 50)), ms(hist_value(&f->delivery, 99)),
               ms(hist_max(&f->delivery)), (unsigned long long)(f->errors + f->unanswered + f->unsent));
        printf("%llu, %llu, %llu | %llu, %llu, %llu | %.2f, %.2f, %.2f, %.2f | ", (unsigned long long)f->lost, (unsigned long long)f->duplicated,
               (unsigned long long)f->disordered, (unsigned long long)f->history.holes, (unsigned long long)(f->history.missing + f->history.failed),
               (unsigned long long)f->history.repeated, cpu_all(f) / thousands, cpu_of(f, 0) / thousands, cpu_of(f, 1) / thousands,
               cpu_of(f, 2) / thousands);
    }
    printf("%.0f %% | %.1f | %.0f, %.0f, %.0f |\n", busy, ms(hist_value(&f->lag, 99)), (double)f->after.kind[0].pss / MIB, (double)f->after.kind[1].pss / MIB,
           (double)f->after.kind[2].pss / MIB);
}

void report(const struct options *o, const struct figures *f)
{
    switch (o->form) {
    case REPORT_JSON: json(o, f); break;
    case REPORT_ROW: row(o, f); break;
    case REPORT_TEXT:
    default: text(o, f); break;
    }
}
