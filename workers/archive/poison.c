/*
 * Records that cannot become history are parked, not lost: one line a record in <state_dir>/archive-poison.log with partition, offset,
 * time, reason and the record in hex. An operator reads it; nothing else does. Called by decode.c and store.c.
 */
#include "archive.h"

#include "oim_buf.h"
#include "oim_hash.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool line_write(const char *path, const struct oim_buf *line)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    bool ok;

    if (fd < 0) return false;
    ok = write(fd, line->data, line->len) == (ssize_t)line->len && fdatasync(fd) == 0;
    close(fd);
    return ok;
}

int archive_park(struct archive_lane *l, const struct oim_kafka_record *record, const char *why)
{
    struct oim_buf line = {0};
    char path[4096];
    bool ok;

    snprintf(path, sizeof(path), "%s/archive-poison.log", l->app->conf.general.state_dir);
    oim_buf_printf(&line, "partition=%d offset=%" PRId64 " timestamp=%" PRId64 " why=\"%s\" value=", record->partition, record->offset,
                   record->timestamp, why);
    oim_hash_hex(oim_buf_extend(&line, 2 * record->len + 1), record->value, record->len);
    line.data[line.len - 1] = '\n';
    pthread_mutex_lock(&lock);
    ok = line_write(path, &line);
    pthread_mutex_unlock(&lock);
    oim_buf_free(&line);
    if (!ok) {
        oim_log(OIM_LOG_ERROR, "cannot park a record", "path=%s errno=%d", path, errno);
        return OIM_EUNAVAIL;
    }
    atomic_fetch_add(&l->counters->poison, 1);
    oim_log(OIM_LOG_ERROR, "record parked", "partition=%d offset=%" PRId64 " why=\"%s\" path=%s", record->partition, record->offset, why, path);
    return OIM_OK;
}
