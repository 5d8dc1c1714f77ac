/*
 * openim-archive: what openim-logic has accepted becomes history. Started by a supervisor, any number of times: Kafka's group shares the
 * partitions out. Waits for its stores at start; afterwards an absent store only delays it. Read archive.h next.
 */
#include "archive.h"

#include <stdio.h>
#include <time.h>

void archive_wait(const struct oim_app *app, int64_t ms)
{
    for (int64_t until = oim_mono_ms() + ms, left; !app->stop && (left = until - oim_mono_ms()) > 0;) {
        nanosleep(&(struct timespec){.tv_nsec = (left < 200 ? left : 200) * 1000000L}, NULL);
    }
}

static int mongo_await(struct oim_app *app)
{
    struct oim_mongo *mg = oim_mongo_new(&app->conf, "prepare");
    int err = OIM_EFATAL;

    if (mg == NULL) return OIM_EFATAL;
    while (!app->stop && (err = oim_mongo_prepare(mg)) == OIM_EUNAVAIL) nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
    oim_mongo_free(mg);
    return err;
}

static int prepare(struct oim_app *app)
{
    char topic[256];
    int err = oim_sql_migrate(&app->conf);

    if (err == OIM_OK) err = mongo_await(app);
    if (err != OIM_OK) return err;
    snprintf(topic, sizeof(topic), "%sstored", app->conf.kafka.topic_prefix);
    err = oim_kafka_partitions(&app->conf, topic, &app->stop);
    return err < 0 ? err : OIM_OK;
}

#define LANES_MAX 32 /* archive.lanes */

static int lanes(struct oim_app *app, struct oim_app_lane *list, int max)
{
    static char names[LANES_MAX][24];
    int n = app->conf.archive.lanes < LANES_MAX ? app->conf.archive.lanes : LANES_MAX;

    if (n > max - 2) n = max - 2;
    for (int i = 0; i < n; i++) {
        snprintf(names[i], sizeof(names[i]), "archive-%d", i);
        list[i] = (struct oim_app_lane){.name = names[i], .index = i, .run = archive_lane_run};
    }
    list[n] = (struct oim_app_lane){.name = "retention", .index = n, .run = archive_retention_run};
    list[n + 1] = (struct oim_app_lane){.name = "recount", .index = n + 1, .run = archive_recount_run};
    return n + 2;
}

int main(int argc, char **argv)
{
    return oim_app_main(argc, argv, "archive", prepare, lanes);
}
