/*
 * openim-logic: message lanes (msg_lane.c) and lanes for everything else (rpc_lane.c, rpc_search.c) in one process.
 */
#include "logic_cache.h"
#include "msg.h"
#include "notify.h"
#include "rpc.h"

#include <stdio.h>
#include <string.h>

static int prepare(struct oim_app *app)
{
    static const char *const topics[] = {"msg", "rpc", "stored"};
    char topic[256];
    int n[3], err = logic_notice_load(app->conf.notification.language, app->conf.notification.file);

    if (err == OIM_OK) err = oim_sql_migrate(&app->conf);
    for (int i = 0; i < 3 && err == OIM_OK; i++) {
        snprintf(topic, sizeof(topic), "%s%s", app->conf.kafka.topic_prefix, topics[i]);
        n[i] = oim_kafka_partitions(&app->conf, topic, &app->stop);
        if (n[i] < 0) return n[i];
    }
    if (err == OIM_OK && n[0] != n[2]) {
        fprintf(stderr, "%smsg has %d partitions and %sstored %d: they answer each other, give both the same number\n",
                app->conf.kafka.topic_prefix, n[0], app->conf.kafka.topic_prefix, n[2]);
        return OIM_EFATAL;
    }
    if (err == OIM_OK) err = logic_stall_start(app);
    return err == OIM_OK ? logic_cache_start(app) : err;
}

static int lanes(struct oim_app *app, struct oim_app_lane *list, int max)
{
    static char names[64][16];
    int n = 0;

    for (int i = 0; i < app->conf.logic.msg_lanes && n < max; i++, n++) {
        snprintf(names[n], sizeof(names[n]), "msg-%d", i);
        list[n] = (struct oim_app_lane){.name = names[n], .index = i, .run = logic_msg_run};
    }
    for (int i = 0; i < app->conf.logic.rpc_lanes && n < max; i++, n++) {
        snprintf(names[n], sizeof(names[n]), "rpc-%d", i);
        list[n] = (struct oim_app_lane){.name = names[n], .index = i, .run = logic_rpc_run};
    }
    if (n < max) list[n++] = (struct oim_app_lane){.name = "search", .run = logic_search_run};
    return n;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--print-routes") == 0) {
        logic_route_print(stdout);
        return 0;
    }
    if (argc >= 2 && strcmp(argv[1], "--print-notifications") == 0) {
        logic_notice_print(stdout, argc > 2 ? argv[2] : "en");
        return 0;
    }
    return oim_app_main(argc, argv, "logic", prepare, lanes);
}
