/*
 * One line an event to stderr: time, level, role, message, key=value. Info by default. No message
 * content above debug, never tokens. Thread-safe, one write() a line.
 *   oim_log(OIM_LOG_INFO, "partition taken", "partition=%d epoch=%" PRId64, p, epoch);
 * -> 2026-11-24T18:00:00.123Z info logic "partition taken" partition=3 epoch=41
 */
#ifndef OIM_LOG_H
#define OIM_LOG_H

enum oim_log_level { OIM_LOG_ERROR, OIM_LOG_WARN, OIM_LOG_INFO, OIM_LOG_DEBUG };

void oim_log_init(const char *role, const char *level); /* "error" "warn" "info" "debug" */
void oim_log_write(enum oim_log_level level, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
extern enum oim_log_level oim_log_threshold;

#define oim_log(level, what, ...)                                                                  \
    do {                                                                                           \
        if ((level) <= oim_log_threshold) oim_log_write(level, what, __VA_ARGS__);                 \
    } while (0)

#endif
