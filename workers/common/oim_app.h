/*
 * The frame of every worker process: options (-c FILE, --help, --print-config, --print-settings), settings, log, signals (TERM and INT
 * stop in order), the lanes as threads. A lane that returns OIM_EFATAL ends the process with status 1 so that its supervisor restarts it.
 */
#ifndef OIM_APP_H
#define OIM_APP_H

#include "oim_conf.h"

#include <stdatomic.h>

struct oim_app {
    struct oim_conf conf;
    const char *role;      /* "logic" */
    volatile bool stop;    /* set by a signal; lanes look at it at least every 200 ms */
};

struct oim_app_lane {
    const char *name;      /* "msg-0": thread name, part of group.instance.id and of the log */
    int index;
    int (*run)(struct oim_app *app, const struct oim_app_lane *lane);
};

/* Does everything until stop. prepare (may be NULL) runs once before the lanes: migrations, waiting for stores. lanes is called with the
 * loaded settings and fills at most max. Returns the exit status of the process. */
int oim_app_main(int argc, char **argv, const char *role, int (*prepare)(struct oim_app *app),
                 int (*lanes)(struct oim_app *app, struct oim_app_lane *lanes, int max));

int64_t oim_now_ms(void);  /* wall clock */
int64_t oim_mono_ms(void);

#endif
