/*
 * Lines to stderr; oim_log.h holds the format. The line is built on the stack and leaves in one write(2), so lines of several
 * threads and processes do not mix. Line breaks inside a text become spaces: a value cannot forge a line.
 */
#include "oim_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE 4096

enum oim_log_level oim_log_threshold = OIM_LOG_INFO;

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static char log_role[32] = "openim";

void oim_log_init(const char *role, const char *level)
{
    snprintf(log_role, sizeof(log_role), "%s", role);
    for (int i = OIM_LOG_ERROR; i <= OIM_LOG_DEBUG; i++) {
        if (level && strcmp(level, level_names[i]) == 0) oim_log_threshold = (enum oim_log_level)i;
    }
}

void oim_log_write(enum oim_log_level level, const char *what, const char *fmt, ...)
{
    char line[LINE];
    struct timespec ts;
    struct tm tm;
    size_t n;
    int m;
    va_list args;

    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
    m = snprintf(line + n, sizeof(line) - n, ".%03ldZ %s %s \"%s\" ", ts.tv_nsec / 1000000, level_names[level], log_role, what);
    n += m < 0 ? 0 : (size_t)m;
    if (n > LINE - 2) n = LINE - 2;
    va_start(args, fmt);
    m = vsnprintf(line + n, LINE - 1 - n, fmt, args);
    va_end(args);
    n += m < 0 ? 0 : (size_t)m;
    if (n > LINE - 2) n = LINE - 2;
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)line[i] < 0x20) line[i] = ' ';
    }
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0) {
        return; /* nowhere left to say it */
    }
}
