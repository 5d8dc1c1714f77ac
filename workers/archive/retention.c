/*
 * MongoDB keeps message.retain_days days; older days are deleted by equality, the only filter that every server we run on serves from an
 * index. A thread of its own with a connection of its own: a deletion may take long and history must not wait. Deleting twice does no
 * harm, so every process does it. MySQL keeps everything.
 */
#include "archive.h"

#define FIRST_MS 60000 /* after the start: let the lanes catch up */
#define EVERY_MS 3600000
#define RETRY_MS 60000
#define BETWEEN_MS 2000
#define DAYS 3 /* each hour: a process that was down for a day misses none */
#define DAYS_AT_START 31
#define DAY_MS 86400000

/* The `days` days before the window. */
static int days_delete(struct oim_app *app, struct oim_mongo *mg, int days)
{
    int32_t oldest = (int32_t)(oim_now_ms() / DAY_MS) - app->conf.message.retain_days;

    for (int i = 1; i <= days && !app->stop; i++) {
        int err = oim_mongo_delete_day(mg, oldest - i);

        if (err != OIM_OK) return err;
        archive_wait(app, BETWEEN_MS);
    }
    if (!app->stop) oim_log(OIM_LOG_INFO, "old days left mongodb", "before_day=%d days=%d", oldest, days);
    return OIM_OK;
}

int archive_retention_run(struct oim_app *app, const struct oim_app_lane *lane)
{
    struct oim_mongo *mg = oim_mongo_new(&app->conf, lane->name);
    int days = DAYS_AT_START;

    if (mg == NULL) return OIM_EFATAL;
    archive_wait(app, FIRST_MS);
    while (!app->stop) {
        bool done = days_delete(app, mg, days) == OIM_OK;

        if (done) days = DAYS;
        archive_wait(app, done ? EVERY_MS : RETRY_MS);
    }
    oim_mongo_free(mg);
    return OIM_OK;
}
