/*
 * The frame of a worker process; oim_app.h holds the contract. The main thread only waits: signals arrive there (the lanes block
 * them), a lane that ends is noticed through its flag. Lanes look at app->stop themselves.
 */
#include "oim_app.h"

#include "oim_err.h"
#include "oim_log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define LANES_MAX 64
#define STOP_MS 10000

struct thread {
    struct oim_app *app;
    struct oim_app_lane lane;
    pthread_t id;
    int code;
    atomic_bool ended;
};

int64_t oim_now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t oim_mono_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void usage(const char *program)
{
    printf("usage: %s [-c FILE]\n\n"
           "  -c FILE            settings (INI); OPENIM_SECTION_NAME in the environment goes before it\n"
           "  --print-config     a settings file at its defaults, commented\n"
           "  --print-settings   the same as a Markdown table\n"
           "  --help             this text\n\n"
           "settings:\n",
           program);
    oim_conf_print_help();
}

static void *thread_run(void *arg)
{
    struct thread *t = arg;

    prctl(PR_SET_NAME, t->lane.name, 0, 0, 0);
    t->code = t->lane.run(t->app, &t->lane);
    atomic_store(&t->ended, true);
    kill(getpid(), SIGCHLD); /* wakes the main thread */
    return NULL;
}

/* Waits for a signal that ends the process, or for a lane to end by itself. Returns the exit status. */
static int wait_for_end(struct oim_app *app, struct thread *threads, int n, const sigset_t *set)
{
    for (;;) {
        int sig = sigwaitinfo(set, NULL);

        if (sig == SIGTERM || sig == SIGINT) {
            oim_log(OIM_LOG_INFO, "stopping", "signal=%d", sig);
            return 0;
        }
        for (int i = 0; i < n; i++) {
            if (!atomic_load(&threads[i].ended)) continue;
            oim_log(OIM_LOG_ERROR, "lane ended, this process ends to be started again", "lane=%s result=\"%s\"", threads[i].lane.name,
                    oim_err_name(threads[i].code));
            return 1;
        }
    }
}

static void stop_lanes(struct oim_app *app, struct thread *threads, int n)
{
    int64_t until = oim_mono_ms() + STOP_MS;

    app->stop = true;
    for (int i = 0; i < n; i++) {
        while (!atomic_load(&threads[i].ended) && oim_mono_ms() < until) {
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        }
        if (atomic_load(&threads[i].ended)) {
            pthread_join(threads[i].id, NULL);
        } else {
            oim_log(OIM_LOG_WARN, "lane does not end", "lane=%s", threads[i].lane.name);
        }
    }
}

static int run_lanes(struct oim_app *app, struct oim_app_lane *lanes, int n, const sigset_t *set)
{
    struct thread *threads = calloc((size_t)n, sizeof(*threads));
    int started, status = 1;

    if (threads == NULL) return 1;
    for (started = 0; started < n; started++) {
        struct thread *t = &threads[started];

        t->app = app;
        t->lane = lanes[started];
        if (pthread_create(&t->id, NULL, thread_run, t) != 0) {
            oim_log(OIM_LOG_ERROR, "cannot start a thread", "lane=%s errno=%d", t->lane.name, errno);
            break;
        }
    }
    if (started == n) status = wait_for_end(app, threads, n, set);
    stop_lanes(app, threads, started);
    for (int i = 0; i < started; i++) {
        if (!atomic_load(&threads[i].ended)) return 1; /* still uses its thread: leave it to the exit */
    }
    free(threads);
    return status;
}

static int options(struct oim_app *app, int argc, char **argv, const char **file)
{
    *file = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
            *file = argv[++i];
        } else if (strcmp(argv[i], "--print-config") == 0) {
            oim_conf_print_sample();
            return 0;
        } else if (strcmp(argv[i], "--print-settings") == 0) {
            oim_conf_print_markdown();
            return 0;
        } else {
            usage(argv[0]);
            return strcmp(argv[i], "--help") == 0 ? 0 : 2;
        }
    }
    return -1;
}

int oim_app_main(int argc, char **argv, const char *role, int (*prepare)(struct oim_app *app),
                 int (*lanes)(struct oim_app *app, struct oim_app_lane *lanes, int max))
{
    static struct oim_app app; /* librdkafka's threads may look at it until the very end */
    struct oim_app_lane list[LANES_MAX];
    const char *file;
    sigset_t set;
    int n, status = options(&app, argc, argv, &file);

    if (status >= 0) return status;
    app.role = role;
    oim_log_init(role, "info");
    if (oim_conf_load(&app.conf, file) != OIM_OK || oim_conf_claim_instance(&app.conf, role) != OIM_OK) return 2;
    oim_log_init(role, app.conf.general.log_level);
    oim_log(OIM_LOG_INFO, "starting", "profile=%s instance=%s", app.conf.general.profile, app.conf.general.instance);

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    if (prepare) {
        int err = prepare(&app); /* may wait for servers: signals end the process as usual meanwhile */

        if (err != OIM_OK) {
            oim_log(OIM_LOG_ERROR, "cannot start", "result=\"%s\"", oim_err_name(err));
            return 1;
        }
    }
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    n = lanes(&app, list, LANES_MAX);
    status = n > 0 ? run_lanes(&app, list, n, &set) : 1;
    oim_log(OIM_LOG_INFO, "stopped", "status=%d", status);
    return status;
}
