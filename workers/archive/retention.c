/*
 * MongoDB keeps message.retain_days days; older days are deleted by equality, the only filter that every server we run on serves from an
 * index. Lane 0 calls archive_retention between batches. MySQL keeps everything.
 */
#include "archive.h"

#define FIRST_MS 60000    /* after the start: let the lane catch up */
#define EVERY_MS 3600000
#define RETRY_MS 60000
#define DAYS 3            /* each hour: a process that was down for a day misses none */
#define DAYS_AT_START 31
#define DAY_MS 86400000

void archive_retention(struct archive_lane *l)
{
    static int64_t due; /* lane 0's own */
    static bool again;
    int64_t now = oim_mono_ms();
    int32_t oldest = (int32_t)(oim_now_ms() / DAY_MS) - l->app->conf.message.retain_days;

    if (due == 0) due = now + FIRST_MS;
    if (now < due) return;
    for (int i = 0; i < (again ? DAYS : DAYS_AT_START) && !l->app->stop; i++) {
        if (oim_mongo_delete_day(l->mg, oldest - 1 - i) != OIM_OK) {
            due = now + RETRY_MS;
            return;
        }
    }
    again = true;
    due = now + EVERY_MS;
    oim_log(OIM_LOG_INFO, "old days left mongodb", "before_day=%d", oldest);
}
